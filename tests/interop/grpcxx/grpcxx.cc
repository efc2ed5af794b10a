// SPDX-License-Identifier: Apache-2.0
// grpc++ as the other side of the interoperability cases. In one translation unit, since its headers cost
// seconds.
//
//     grpcxx client TARGET [--ca FILE] [--certificate FILE --key FILE] [--name SERVER]
//     grpcxx list grpc
//     grpcxx server ADDRESS [--certificate FILE --key FILE] [--ca FILE]
//
// The client prints "ok CASE" or "failed CASE: why" for each case. The server prints "listening PORT" and
// runs until its standard input ends.
#include <grpc/testing/test.grpc.pb.cc>

#include <grpcpp/ext/proto_server_reflection_plugin.h>

#include <cstdio>
#include <cstring>
#include <iostream>

#include "cases.h"
#include "credentials.h"
#include "service.h"

static std::shared_ptr<grpc::Channel> open_channel(const std::string &target, const Options &options)
{
    grpc::ChannelArguments arguments;
    // Otherwise channels to one target share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!option(options, "name").empty())
        arguments.SetSslTargetNameOverride(option(options, "name"));
    return grpc::CreateCustomChannel(target, channel_credentials(options), arguments);
}

static bool run_case(const interop::Case &each, interop::Peer &peer)
{
    try {
        each.run(peer);
        std::cout << "ok " << each.name << std::endl;
        return true;
    } catch (const std::exception &failure) {
        std::cout << "failed " << each.name << ": " << failure.what() << std::endl;
        return false;
    }
}

static int run_client(const std::string &target, const Options &options)
{
    int failed = 0;
    auto channel = open_channel(target, options);
    interop::Peer peer = {[&] { return open_channel(target, options); },
                          grpc::testing::TestService::NewStub(channel),
                          grpc::testing::UnimplementedService::NewStub(channel)};
    for (const interop::Case &each : interop::cases)
        failed += !run_case(each, peer);
    return failed == 0 ? 0 : 1;
}

static int list_cases()
{
    for (const interop::Case &each : interop::cases)
        std::cout << each.name << std::endl;
    return 0;
}

static int run_server(const std::string &address, const Options &options)
{
    interop::Service service;
    grpc::ServerBuilder builder;
    int port = 0;
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    builder.AddListeningPort(address, server_credentials(options), &port);
    builder.RegisterService(&service);
    auto server = builder.BuildAndStart();
    if (!server)
        throw std::runtime_error("cannot listen on " + address);
    std::cout << "listening " << port << std::endl;
    while (getchar() != EOF)
        continue;
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    return 0;
}

int main(int argc, char **argv)
{
    Options options;
    if (argc < 3 || argc % 2 == 0) {
        std::cerr << "usage: grpcxx client|server|list ADDRESS [--OPTION VALUE ...]" << std::endl;
        return 2;
    }
    for (int i = 3; i < argc; i += 2)
        options[argv[i] + strspn(argv[i], "-")] = argv[i + 1];
    try {
        if (std::string(argv[1]) == "list")
            return list_cases();
        return std::string(argv[1]) == "server" ? run_server(argv[2], options) : run_client(argv[2], options);
    } catch (const std::exception &failure) {
        std::cerr << "grpcxx: " << failure.what() << std::endl;
        return 1;
    }
}
