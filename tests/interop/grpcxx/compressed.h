// SPDX-License-Identifier: Apache-2.0
// Was the last message that came on a call compressed? The library tells friends only, and names these two.
#ifndef GRPCXX_COMPRESSED_H
#define GRPCXX_COMPRESSED_H

#include <grpcpp/grpcpp.h>

uint32_t grpc_call_test_only_get_message_flags(grpc_call *call);

// Of these flags, the one that says so.
constexpr uint32_t came_compressed_flag = 0x40000000u;

namespace grpc::testing
{

class InteropClientContextInspector
{
  public:
    static bool came_compressed(const ClientContext &context)
    {
        return (grpc_call_test_only_get_message_flags(context.call_) & came_compressed_flag) != 0;
    }
};

class InteropServerContextInspector
{
  public:
    static bool came_compressed(const ServerContext &context)
    {
        return (grpc_call_test_only_get_message_flags(context.call_.call) & came_compressed_flag) != 0;
    }
};

} // namespace grpc::testing

#endif
