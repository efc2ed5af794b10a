// SPDX-License-Identifier: Apache-2.0
// grpc.testing.TestService by grpc++: the outside server that our client is proven against.
#ifndef GRPCXX_SERVICE_H
#define GRPCXX_SERVICE_H

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "compressed.h"

namespace interop
{

using namespace grpc::testing;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

inline void echo_metadata(ServerContext *context)
{
    const auto &metadata = context->client_metadata();
    auto initial = metadata.find("x-grpc-test-echo-initial");
    auto trailing = metadata.find("x-grpc-test-echo-trailing-bin");
    if (initial != metadata.end())
        context->AddInitialMetadata("x-grpc-test-echo-initial",
                                    {initial->second.data(), initial->second.size()});
    if (trailing != metadata.end())
        context->AddTrailingMetadata("x-grpc-test-echo-trailing-bin",
                                     {trailing->second.data(), trailing->second.size()});
}

// The status that a request asks for; OK where it asks for none.
template <typename Request> Status wanted_status(const Request &request)
{
    const EchoStatus &status = request.response_status();
    return status.code() == 0 ? Status::OK : Status(StatusCode(status.code()), status.message());
}

template <typename Request> Status check_compressed(const ServerContext &context, const Request &request)
{
    if (request.has_expect_compressed() &&
        request.expect_compressed().value() != InteropServerContextInspector::came_compressed(context))
        return Status(StatusCode::INVALID_ARGUMENT,
                      "compressed where it should not be, or the other way round");
    return Status::OK;
}

class Service final : public TestService::Service
{
    using Duplex = grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest>;

    Status EmptyCall(ServerContext *, const Empty *, Empty *) override
    {
        return Status::OK;
    }

    Status UnaryCall(ServerContext *context, const SimpleRequest *request, SimpleResponse *response) override
    {
        echo_metadata(context);
        Status status = check_compressed(*context, *request);
        if (request->has_response_compressed())
            context->set_compression_algorithm(request->response_compressed().value() ? GRPC_COMPRESS_GZIP
                                                                                      : GRPC_COMPRESS_NONE);
        response->mutable_payload()->set_body(std::string(request->response_size(), '\0'));
        return status.ok() ? wanted_status(*request) : status;
    }

    Status CacheableUnaryCall(ServerContext *context, const SimpleRequest *,
                              SimpleResponse *response) override
    {
        auto now = std::chrono::system_clock::now().time_since_epoch().count();
        context->AddInitialMetadata("cache-control", "max-age=60, public");
        response->mutable_payload()->set_body(std::to_string(now));
        return Status::OK;
    }

    template <typename Stream> static Status answer(Stream *stream, const StreamingOutputCallRequest &request)
    {
        for (const ResponseParameters &parameters : request.response_parameters()) {
            StreamingOutputCallResponse response;
            grpc::WriteOptions options;
            std::this_thread::sleep_for(std::chrono::microseconds(parameters.interval_us()));
            response.mutable_payload()->set_body(std::string(parameters.size(), '\0'));
            if (!parameters.compressed().value())
                options.set_no_compression();
            stream->Write(response, options);
        }
        return wanted_status(request);
    }

    Status StreamingOutputCall(ServerContext *context, const StreamingOutputCallRequest *request,
                               grpc::ServerWriter<StreamingOutputCallResponse> *stream) override
    {
        context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
        return answer(stream, *request);
    }

    Status StreamingInputCall(ServerContext *context, grpc::ServerReader<StreamingInputCallRequest> *stream,
                              StreamingInputCallResponse *response) override
    {
        StreamingInputCallRequest request;
        size_t sum = 0;
        while (stream->Read(&request)) {
            Status status = check_compressed(*context, request);
            if (!status.ok())
                return status;
            sum += request.payload().body().size();
        }
        response->set_aggregated_payload_size(int(sum));
        return Status::OK;
    }

    Status FullDuplexCall(ServerContext *context, Duplex *stream) override
    {
        StreamingOutputCallRequest request;
        Status status;
        echo_metadata(context);
        while (status.ok() && stream->Read(&request))
            status = answer(stream, request);
        return status;
    }

    Status HalfDuplexCall(ServerContext *, Duplex *stream) override
    {
        std::vector<StreamingOutputCallRequest> requests;
        StreamingOutputCallRequest request;
        Status status;
        while (stream->Read(&request))
            requests.push_back(request);
        for (size_t i = 0; i < requests.size() && status.ok(); i++)
            status = answer(stream, requests[i]);
        return status;
    }
};

} // namespace interop

#endif
