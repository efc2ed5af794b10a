// SPDX-License-Identifier: Apache-2.0
// grpc++'s side of the benchmarks, on its callback interface: grpc_server unix:PATH
#include <cstdio>
#include <string>

#include <grpcpp/grpcpp.h>

#include "load.grpc.pb.h"

using berth::bench::v1::Chunk;
using berth::bench::v1::Empty;
using berth::bench::v1::ReadRequest;
using berth::bench::v1::WriteReply;
using grpc::CallbackServerContext;

namespace
{

const std::string page(4093, '\0');

class Reading : public grpc::ServerWriteReactor<Chunk>
{
  public:
    explicit Reading(const ReadRequest *request) : left_(request->messages())
    {
        chunk_.set_data(std::string(request->bytes(), '\0'));
        GoOn();
    }

    void OnWriteDone(bool ok) override
    {
        if (ok)
            GoOn();
        else
            Finish(grpc::Status::CANCELLED);
    }

    void OnDone() override
    {
        delete this;
    }

  private:
    void GoOn()
    {
        if (left_ == 0) {
            Finish(grpc::Status::OK);
            return;
        }
        left_--;
        StartWrite(&chunk_);
    }

    uint32_t left_;
    Chunk chunk_;
};

class Writing : public grpc::ServerReadReactor<Chunk>
{
  public:
    explicit Writing(WriteReply *reply) : reply_(reply)
    {
        StartRead(&chunk_);
    }

    void OnReadDone(bool ok) override
    {
        if (!ok) {
            Finish(grpc::Status::OK);
            return;
        }
        reply_->set_bytes(reply_->bytes() + chunk_.data().size());
        StartRead(&chunk_);
    }

    void OnDone() override
    {
        delete this;
    }

  private:
    WriteReply *reply_;
    Chunk chunk_;
};

class Load : public berth::bench::v1::Load::CallbackService
{
    grpc::ServerUnaryReactor *Nothing(CallbackServerContext *context, const Empty *, Empty *) override
    {
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();

        reactor->Finish(grpc::Status::OK);
        return reactor;
    }

    grpc::ServerUnaryReactor *Page(CallbackServerContext *context, const Empty *, Chunk *reply) override
    {
        grpc::ServerUnaryReactor *reactor = context->DefaultReactor();

        reply->set_data(page);
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }

    grpc::ServerWriteReactor<Chunk> *Read(CallbackServerContext *, const ReadRequest *request) override
    {
        return new Reading(request);
    }

    grpc::ServerReadReactor<Chunk> *Write(CallbackServerContext *, WriteReply *reply) override
    {
        return new Writing(reply);
    }
};

} // namespace

int main(int argc, char **argv)
{
    grpc::ServerBuilder builder;
    Load load;

    if (argc != 2) {
        std::fprintf(stderr, "usage: grpc_server unix:PATH\n");
        return 2;
    }
    builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&load);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr)
        return 1;
    server->Wait();
    return 0;
}
