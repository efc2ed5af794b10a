// SPDX-License-Identifier: Apache-2.0
// gRPC's interoperability cases (interop-test-descriptions.md), each a function, driven by grpc++.
#ifndef GRPCXX_CASES_H
#define GRPCXX_CASES_H

#include <algorithm>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "compressed.h"

namespace interop
{

using namespace grpc::testing;
using grpc::ClientContext;
using grpc::Status;
using grpc::StatusCode;

constexpr int large_request_size = 271828;
constexpr int large_response_size = 314159;
const std::string initial_key = "x-grpc-test-echo-initial";
const std::string initial_value = "test_initial_metadata_value";
const std::string trailing_key = "x-grpc-test-echo-trailing-bin";
const std::string trailing_value = "\xab\xab\xab";

// A server under test: a stub on a channel that all cases share, and how to open another.
struct Peer {
    std::function<std::shared_ptr<grpc::Channel>()> open;
    std::unique_ptr<TestService::Stub> stub;
    std::unique_ptr<UnimplementedService::Stub> unimplemented;
};

struct Call : ClientContext {
    explicit Call(std::chrono::milliseconds timeout = std::chrono::seconds(30))
    {
        set_deadline(std::chrono::system_clock::now() + timeout);
        set_wait_for_ready(true);
    }
};

inline void check(bool condition, const std::string &why)
{
    if (!condition)
        throw std::runtime_error(why);
}

inline void check_ok(const Status &status)
{
    check(status.ok(), "code " + std::to_string(status.error_code()) + ": " + status.error_message());
}

inline void check_code(StatusCode code, const Status &status)
{
    check(status.error_code() == code, "code " + std::to_string(status.error_code()) + " instead of " +
                                           std::to_string(code) + ": " + status.error_message());
}

inline void check_body(const Payload &payload, int size)
{
    check(payload.body() == std::string(size, '\0'),
          "a body of " + std::to_string(payload.body().size()) + " bytes instead of " + std::to_string(size));
}

inline SimpleRequest large_request()
{
    SimpleRequest request;
    request.set_response_size(large_response_size);
    request.mutable_payload()->set_body(std::string(large_request_size, '\0'));
    return request;
}

inline StreamingOutputCallRequest output_request(std::initializer_list<int> sizes, int payload)
{
    StreamingOutputCallRequest request;
    for (int size : sizes)
        request.add_response_parameters()->set_size(size);
    request.mutable_payload()->set_body(std::string(payload, '\0'));
    return request;
}

inline StreamingInputCallRequest input_request(int size)
{
    StreamingInputCallRequest request;
    request.mutable_payload()->set_body(std::string(size, '\0'));
    return request;
}

template <typename Stream> void check_answers(Stream &stream, std::initializer_list<int> sizes)
{
    StreamingOutputCallResponse response;
    for (int size : sizes) {
        check(stream.Read(&response), "the stream ended early");
        check_body(response.payload(), size);
    }
}

template <typename Stream> void check_end(Stream &stream)
{
    StreamingOutputCallResponse response;
    check(!stream.Read(&response), "there are further answers");
    check_ok(stream.Finish());
}

inline void call_large(TestService::Stub &stub, ClientContext &context, const SimpleRequest &request)
{
    SimpleResponse response;
    check_ok(stub.UnaryCall(&context, request, &response));
    check_body(response.payload(), large_response_size);
}

inline void empty_unary(Peer &peer)
{
    Call call;
    Empty request, response;
    check_ok(peer.stub->EmptyCall(&call, request, &response));
    check(response.ByteSizeLong() == 0, "the answer is not empty");
}

inline void cacheable_unary(Peer &peer)
{
    for (int i = 0; i < 2; i++) {
        Call call;
        SimpleRequest request;
        SimpleResponse response;
        call.AddMetadata("x-user-ip", "1.2.3.4");
        check_ok(peer.stub->CacheableUnaryCall(&call, request, &response));
        check(!response.payload().body().empty(), "the answer has no time");
        check(call.GetServerInitialMetadata().count("cache-control") == 1, "the answer has no cache-control");
    }
}

inline void large_unary(Peer &peer)
{
    Call call;
    call_large(*peer.stub, call, large_request());
}

inline void client_compressed_unary(Peer &peer)
{
    SimpleRequest request = large_request();
    SimpleResponse response;
    Call probe, compressed, deflated, plain;
    request.mutable_expect_compressed()->set_value(true);
    check_code(StatusCode::INVALID_ARGUMENT, peer.stub->UnaryCall(&probe, request, &response));
    compressed.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    call_large(*peer.stub, compressed, request);
    deflated.set_compression_algorithm(GRPC_COMPRESS_DEFLATE);
    call_large(*peer.stub, deflated, request);
    request.mutable_expect_compressed()->set_value(false);
    call_large(*peer.stub, plain, request);
}

inline void server_compressed_unary(Peer &peer)
{
    for (bool wanted : {true, false}) {
        Call call;
        SimpleRequest request = large_request();
        request.mutable_response_compressed()->set_value(wanted);
        call_large(*peer.stub, call, request);
        check(InteropClientContextInspector::came_compressed(call) == wanted,
              wanted ? "the answer came as it is" : "the answer came compressed");
    }
}

inline void client_streaming(Peer &peer)
{
    Call call;
    StreamingInputCallResponse response;
    auto stream = peer.stub->StreamingInputCall(&call, &response);
    for (int size : {27182, 8, 1828, 45904})
        check(stream->Write(input_request(size)), "the server takes no more");
    stream->WritesDone();
    check_ok(stream->Finish());
    check(response.aggregated_payload_size() == 74922, "another sum");
}

inline void probe_compressed_streaming(Peer &peer)
{
    Call call;
    StreamingInputCallResponse response;
    StreamingInputCallRequest request = input_request(27182);
    auto stream = peer.stub->StreamingInputCall(&call, &response);
    request.mutable_expect_compressed()->set_value(true);
    stream->Write(request);
    stream->WritesDone();
    check_code(StatusCode::INVALID_ARGUMENT, stream->Finish());
}

inline void client_compressed_streaming(Peer &peer)
{
    Call call;
    StreamingInputCallResponse response;
    StreamingInputCallRequest request = input_request(27182);
    probe_compressed_streaming(peer);
    call.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    auto stream = peer.stub->StreamingInputCall(&call, &response);
    request.mutable_expect_compressed()->set_value(true);
    check(stream->Write(request), "the server took no compressed message");
    request = input_request(45904);
    request.mutable_expect_compressed()->set_value(false);
    check(stream->Write(request, grpc::WriteOptions().set_no_compression()),
          "the server took no second message");
    stream->WritesDone();
    check_ok(stream->Finish());
    check(response.aggregated_payload_size() == 73086, "another sum");
}

inline void server_streaming(Peer &peer)
{
    Call call;
    auto stream = peer.stub->StreamingOutputCall(&call, output_request({31415, 9, 2653, 58979}, 0));
    check_answers(*stream, {31415, 9, 2653, 58979});
    check_end(*stream);
}

inline void server_compressed_streaming(Peer &peer)
{
    Call call;
    StreamingOutputCallRequest request = output_request({31415, 92653}, 0);
    request.mutable_response_parameters(0)->mutable_compressed()->set_value(true);
    request.mutable_response_parameters(1)->mutable_compressed()->set_value(false);
    auto stream = peer.stub->StreamingOutputCall(&call, request);
    check_answers(*stream, {31415});
    check(InteropClientContextInspector::came_compressed(call), "the first answer came as it is");
    check_answers(*stream, {92653});
    check(!InteropClientContextInspector::came_compressed(call), "the second answer came compressed");
    check_end(*stream);
}

inline void server_streaming_at_intervals(Peer &peer)
{
    Call call;
    StreamingOutputCallRequest request = output_request({9, 9, 9, 9, 9}, 0);
    auto start = std::chrono::steady_clock::now();
    for (ResponseParameters &parameters : *request.mutable_response_parameters())
        parameters.set_interval_us(20000);
    auto stream = peer.stub->StreamingOutputCall(&call, request);
    check_answers(*stream, {9, 9, 9, 9, 9});
    check_end(*stream);
    check(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(100),
          "the answers came too early");
}

inline void ping_pong(Peer &peer)
{
    Call call;
    auto stream = peer.stub->FullDuplexCall(&call);
    for (auto [request, response] : {std::pair(27182, 31415), {8, 9}, {1828, 2653}, {45904, 58979}}) {
        check(stream->Write(output_request({response}, request)), "the server takes no more");
        check_answers(*stream, {response});
    }
    stream->WritesDone();
    check_end(*stream);
}

inline void empty_stream(Peer &peer)
{
    Call call;
    auto stream = peer.stub->FullDuplexCall(&call);
    stream->WritesDone();
    check_end(*stream);
}

inline void half_duplex(Peer &peer)
{
    Call call;
    auto stream = peer.stub->HalfDuplexCall(&call);
    check(stream->Write(output_request({31415, 9}, 8)), "the server takes no first message");
    check(stream->Write(output_request({2653}, 27182)), "the server takes no second message");
    stream->WritesDone();
    check_answers(*stream, {31415, 9, 2653});
    check_end(*stream);
}

inline void check_echoed(const ClientContext &call)
{
    auto initial = call.GetServerInitialMetadata().find(initial_key);
    auto trailing = call.GetServerTrailingMetadata().find(trailing_key);
    check(initial != call.GetServerInitialMetadata().end() && initial->second == initial_value,
          "the initial metadata did not come back");
    check(trailing != call.GetServerTrailingMetadata().end() && trailing->second == trailing_value,
          "the trailing metadata did not come back");
}

inline void custom_metadata(Peer &peer)
{
    Call unary, duplex;
    for (ClientContext *call : {&unary, &duplex}) {
        call->AddMetadata(initial_key, initial_value);
        call->AddMetadata(trailing_key, trailing_value);
    }
    call_large(*peer.stub, unary, large_request());
    check_echoed(unary);
    auto stream = peer.stub->FullDuplexCall(&duplex);
    stream->Write(output_request({large_response_size}, large_request_size));
    stream->WritesDone();
    check_answers(*stream, {large_response_size});
    check_end(*stream);
    check_echoed(duplex);
}

inline void check_status(Peer &peer, const std::string &message)
{
    Call unary, duplex;
    SimpleRequest request;
    SimpleResponse response;
    StreamingOutputCallRequest streamed;
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(message);
    *streamed.mutable_response_status() = request.response_status();
    auto stream = peer.stub->FullDuplexCall(&duplex);
    stream->Write(streamed);
    stream->WritesDone();
    for (const Status &status : {peer.stub->UnaryCall(&unary, request, &response), stream->Finish()}) {
        check_code(StatusCode::UNKNOWN, status);
        check(status.error_message() == message, "another message: " + status.error_message());
    }
}

inline void status_code_and_message(Peer &peer)
{
    check_status(peer, "test status message");
}

inline void special_status_message(Peer &peer)
{
    check_status(peer, "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n");
}

inline void unimplemented_method(Peer &peer)
{
    Call call;
    Empty request, response;
    check_code(StatusCode::UNIMPLEMENTED, peer.stub->UnimplementedCall(&call, request, &response));
}

inline void unimplemented_service(Peer &peer)
{
    Call call;
    Empty request, response;
    check_code(StatusCode::UNIMPLEMENTED, peer.unimplemented->UnimplementedCall(&call, request, &response));
}

inline void cancel_after_begin(Peer &peer)
{
    Call call;
    StreamingInputCallResponse response;
    auto stream = peer.stub->StreamingInputCall(&call, &response);
    call.TryCancel();
    check_code(StatusCode::CANCELLED, stream->Finish());
}

inline void cancel_after_first_response(Peer &peer)
{
    Call call;
    auto stream = peer.stub->FullDuplexCall(&call);
    stream->Write(output_request({31415}, 27182));
    check_answers(*stream, {31415});
    call.TryCancel();
    check_code(StatusCode::CANCELLED, stream->Finish());
}

inline void timeout_on_sleeping_server(Peer &peer)
{
    Call call(std::chrono::milliseconds(1));
    auto stream = peer.stub->FullDuplexCall(&call);
    stream->Write(output_request({}, 27182));
    check_code(StatusCode::DEADLINE_EXCEEDED, stream->Finish());
}

inline void concurrent_large_unary(Peer &peer)
{
    constexpr size_t count = 100;
    struct One {
        Call call;
        SimpleResponse response;
        Status status;
        std::unique_ptr<grpc::ClientAsyncResponseReader<SimpleResponse>> reader;
    };
    grpc::CompletionQueue queue;
    std::vector<One> all(count);
    void *tag;
    bool ok;

    for (One &one : all) {
        one.reader = peer.stub->AsyncUnaryCall(&one.call, large_request(), &queue);
        one.reader->Finish(&one.response, &one.status, &one);
    }
    for (size_t i = 0; i < count; i++)
        check(queue.Next(&tag, &ok), "the queue ended early");
    for (One &one : all) {
        check_ok(one.status);
        check_body(one.response.payload(), large_response_size);
    }
    queue.Shutdown();
}

inline void rpc_soak(Peer &peer)
{
    for (int i = 0; i < 50; i++)
        large_unary(peer);
}

inline void channel_soak(Peer &peer)
{
    for (int i = 0; i < 10; i++) {
        Call call;
        auto stub = TestService::NewStub(peer.open());
        call_large(*stub, call, large_request());
    }
}

struct Case {
    const char *name;
    void (*run)(Peer &);
};

#define CASE(name)                                                                                           \
    {                                                                                                        \
#name, name                                                                                          \
    }
const Case cases[] = {
    CASE(empty_unary),
    CASE(cacheable_unary),
    CASE(large_unary),
    CASE(client_compressed_unary),
    CASE(server_compressed_unary),
    CASE(client_streaming),
    CASE(client_compressed_streaming),
    CASE(server_streaming),
    CASE(server_compressed_streaming),
    CASE(server_streaming_at_intervals),
    CASE(ping_pong),
    CASE(empty_stream),
    CASE(half_duplex),
    CASE(custom_metadata),
    CASE(status_code_and_message),
    CASE(special_status_message),
    CASE(unimplemented_method),
    CASE(unimplemented_service),
    CASE(cancel_after_begin),
    CASE(cancel_after_first_response),
    CASE(timeout_on_sleeping_server),
    CASE(concurrent_large_unary),
    CASE(rpc_soak),
    CASE(channel_soak),
};
#undef CASE

} // namespace interop

#endif
