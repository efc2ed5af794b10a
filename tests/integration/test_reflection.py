# SPDX-License-Identifier: Apache-2.0
"""Google's client learns from the daemon alone what its services are, and calls one of them."""

import threading
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import ask
import protos
from daemon import Case
from workshop import Plugin

VERSIONS = (("grpc.reflection.v1", protos.reflection), ("grpc.reflection.v1alpha", protos.reflection_v1alpha))
GREETER = "helloworld.Greeter"


def reflect(channel, package, messages, requests):
    """The answers to several requests on one stream."""
    call = channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo",
                                 request_serializer=messages.ServerReflectionRequest.SerializeToString,
                                 response_deserializer=messages.ServerReflectionResponse.FromString)
    return list(call(iter([messages.ServerReflectionRequest(**request) for request in requests]), timeout=30))


def learn(response):
    """A pool with the files of a response, each after what it imports."""
    pool = descriptor_pool.DescriptorPool()
    files = [descriptor_pb2.FileDescriptorProto.FromString(each)
             for each in response.file_descriptor_response.file_descriptor_proto]
    for file in reversed(files):
        pool.Add(file)
    return pool


def message_class(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory().GetPrototype(descriptor)


class Reflection(Case):
    def setUp(self):
        super().setUp()
        self.workshop.add_default_modules()
        self.daemon = self.start()

    def test_services_are_listed_and_called_by_what_is_told_of_them(self):
        for package, messages in VERSIONS:
            with self.subTest(package=package), ask.channel(self.daemon.address) as channel:
                listed, described, missing = reflect(channel, package, messages, [
                    {"list_services": ""}, {"file_containing_symbol": f"{GREETER}.SayHello"},
                    {"file_containing_symbol": "no.Such"}])
                names = [service.name for service in listed.list_services_response.service]
                self.assertEqual(sorted(names), names)
                for name in (GREETER, "grpc.health.v1.Health", "berth.inspect.v1.Inspect", f"{package}.ServerReflection",
                             "containerd.services.version.v1.Version"):
                    self.assertIn(name, names)
                self.assertEqual(grpc.StatusCode.NOT_FOUND.value[0], missing.error_response.error_code)
                self.assertEqual("no.Such", missing.original_request.file_containing_symbol)
                self.say_hello(channel, learn(described))

    def say_hello(self, channel, pool):
        method = pool.FindServiceByName(GREETER).methods_by_name["SayHello"]
        request = message_class(method.input_type)(name="stranger")
        call = channel.unary_unary(f"/{GREETER}/SayHello", request_serializer=lambda message: message.SerializeToString(),
                                   response_deserializer=message_class(method.output_type).FromString)
        self.assertEqual("Hello stranger", call(request, timeout=30).message)

    def test_every_service_is_described_with_all_that_it_imports(self):
        package, messages = VERSIONS[0]
        with ask.channel(self.daemon.address) as channel:
            listed = reflect(channel, package, messages, [{"list_services": ""}])[0]
            names = [service.name for service in listed.list_services_response.service]
            described = reflect(channel, package, messages, [{"file_containing_symbol": name} for name in names])
        for name, response in zip(names, described):
            with self.subTest(service=name):
                files = {file.name: file for file in (descriptor_pb2.FileDescriptorProto.FromString(each) for each in
                                                      response.file_descriptor_response.file_descriptor_proto)}
                for file in files.values():
                    self.assertLessEqual(set(file.dependency), set(files), file.name)
                self.assertTrue(any(f"{file.package}.{service.name}" == name
                                    for file in files.values() for service in file.service))


class Absent(Case):
    def test_a_service_that_failed_is_not_there(self):
        self.workshop.add_default_modules("reflection", "servers")
        self.workshop.add("broken", Plugin("io.containerd.grpc.v1", "broken", yaml="services: {a.Broken: {Do: unary}}",
                                           init='return berth_error_set(err, BERTH_ABORTED, "no luck");'))
        self.daemon = self.start()
        package, messages = VERSIONS[0]
        with ask.channel(self.daemon.address) as channel:
            listed = reflect(channel, package, messages, [{"list_services": ""}])[0]
        self.assertEqual(["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"],
                         [service.name for service in listed.list_services_response.service])

    def test_an_open_stream_does_not_keep_the_daemon(self):
        self.workshop.add_default_modules("reflection", "servers")
        self.daemon = self.start()
        package, messages = VERSIONS[0]
        with ask.channel(self.daemon.address) as channel:
            call = channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo",
                                         request_serializer=messages.ServerReflectionRequest.SerializeToString,
                                         response_deserializer=messages.ServerReflectionResponse.FromString)
            is_over = threading.Event()
            answers = call(ask_and_stay(messages.ServerReflectionRequest(list_services=""), is_over), timeout=60)
            self.assertTrue(next(answers).HasField("list_services_response"))
            self.assert_stops(self.daemon)
            is_over.set()
            self.assertNotIn("drain", self.daemon.log)


def ask_and_stay(request, is_over):
    """A caller who asks once and keeps the stream."""
    yield request
    is_over.wait(60)


if __name__ == "__main__":
    unittest.main()
