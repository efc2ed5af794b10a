// SPDX-License-Identifier: Apache-2.0
// Who we are over TLS and whom we believe, as the command line says: files in PEM, or nothing for plain text.
#ifndef GRPCXX_CREDENTIALS_H
#define GRPCXX_CREDENTIALS_H

#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include <grpcpp/grpcpp.h>

// "--ca FILE", "--certificate FILE", "--key FILE", "--name SERVER", by the word behind the dashes.
using Options = std::map<std::string, std::string>;

inline std::string option(const Options &options, const std::string &name)
{
    auto found = options.find(name);
    return found == options.end() ? "" : found->second;
}

inline std::string content(const std::string &path)
{
    if (path.empty())
        return "";
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Options &options)
{
    if (option(options, "ca").empty())
        return grpc::InsecureChannelCredentials();
    return grpc::SslCredentials({content(option(options, "ca")), content(option(options, "key")),
                                 content(option(options, "certificate"))});
}

inline std::shared_ptr<grpc::ServerCredentials> server_credentials(const Options &options)
{
    if (option(options, "certificate").empty())
        return grpc::InsecureServerCredentials();
    grpc::SslServerCredentialsOptions tls(option(options, "ca").empty()
                                              ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                              : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = content(option(options, "ca"));
    tls.pem_key_cert_pairs = {{content(option(options, "key")), content(option(options, "certificate"))}};
    return grpc::SslServerCredentials(tls);
}

#endif
