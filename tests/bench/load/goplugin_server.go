// SPDX-License-Identifier: Apache-2.0

// The service of the benchmarks as Go's plugins have it: behind a gRPC server over a unix socket.
//
//	goplugin_server direct PATH
//	goplugin_server host PATH
//
// "direct" answers at PATH itself, which is what a plugin of go-plugin is. "host" starts such a plugin in a process of
// its own, by go-plugin, and hands each call at PATH on to it.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

const service = "/berth.bench.v1.Load/"

// Bytes for the service of the benchmarks, messages for go-plugin's own.
type mixed struct{ encoding.Codec }

func (mixed) String() string { return "proto" }
func (c mixed) Marshal(value interface{}) ([]byte, error) {
	if bytes, ok := value.(*[]byte); ok {
		return *bytes, nil
	}
	return c.Codec.Marshal(value)
}
func (c mixed) Unmarshal(data []byte, value interface{}) error {
	if bytes, ok := value.(*[]byte); ok {
		*bytes = append([]byte(nil), data...)
		return nil
	}
	return c.Codec.Unmarshal(data, value)
}

var codec = mixed{encoding.GetCodec("proto")}

func varint(number uint64) []byte {
	var text []byte
	for ; number > 0x7f; number >>= 7 {
		text = append(text, byte(number)|0x80)
	}
	return append(text, byte(number))
}

// A Chunk on the wire.
func chunk(length int) []byte {
	return append(append([]byte{0x0a}, varint(uint64(length))...), make([]byte, length)...)
}

// The two fields of a ReadRequest.
func readRequest(request []byte) (fields [3]uint64) {
	for i := 0; i < len(request); {
		field, shift := request[i]>>3, uint(0)
		for i++; i < len(request); i, shift = i+1, shift+7 {
			if field < 3 {
				fields[field] |= uint64(request[i]&0x7f) << shift
			}
			if request[i] < 0x80 {
				i++
				break
			}
		}
	}
	return fields
}

var nothing, page = []byte{}, chunk(4093)

func answer(reply []byte) func(interface{}, context.Context, func(interface{}) error, grpc.UnaryServerInterceptor) (interface{}, error) {
	return func(_ interface{}, _ context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		return &reply, nil
	}
}

func read(_ interface{}, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	fields := readRequest(request)
	message := chunk(int(fields[2]))
	for i := uint64(0); i < fields[1]; i++ {
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
	return nil
}

var description = grpc.ServiceDesc{
	ServiceName: "berth.bench.v1.Load",
	HandlerType: (*interface{})(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Nothing", Handler: answer(nothing)},
		{MethodName: "Page", Handler: answer(page)},
	},
	Streams: []grpc.StreamDesc{{StreamName: "Read", Handler: read, ServerStreams: true}},
}

type load struct{ plugin.NetRPCUnsupportedPlugin }

func (load) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&description, nil)
	return nil
}

func (load) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn) (interface{}, error) {
	return connection, nil
}

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BERTH_BENCH", MagicCookieValue: "load"}
var plugins = map[string]plugin.Plugin{"load": load{}}

func servePlugin() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugins,
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.CustomCodec(codec))...)
		},
	})
}

func startPlugin() *grpc.ClientConn {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugins,
		Cmd:              exec.Command(os.Args[0], "plugin"),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Managed:          true,
		Logger:           hclog.NewNullLogger(),
	})
	protocol, err := client.Client()
	check(err)
	connection, err := protocol.Dispense("load")
	check(err)
	return connection.(*grpc.ClientConn)
}

// What berthd does with a call of an isolated plugin.
func forward(connection *grpc.ClientConn) grpc.StreamHandler {
	return func(_ interface{}, stream grpc.ServerStream) error {
		var message []byte
		method, _ := grpc.MethodFromServerStream(stream)
		if !strings.HasPrefix(method, service) {
			return status.Error(codes.Unimplemented, method)
		}
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		if method != service+"Read" {
			var reply []byte
			if err := connection.Invoke(stream.Context(), method, &message, &reply, grpc.ForceCodec(codec)); err != nil {
				return err
			}
			return stream.SendMsg(&reply)
		}
		call, err := connection.NewStream(stream.Context(), &description.Streams[0], method, grpc.ForceCodec(codec))
		if err == nil {
			err = call.SendMsg(&message)
		}
		if err == nil {
			err = call.CloseSend()
		}
		for err == nil {
			if call.RecvMsg(&message) != nil {
				return nil
			}
			err = stream.SendMsg(&message)
		}
		return err
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	var server *grpc.Server
	switch {
	case len(os.Args) == 2 && os.Args[1] == "plugin":
		servePlugin()
		return
	case len(os.Args) == 3 && os.Args[1] == "direct":
		server = grpc.NewServer(grpc.CustomCodec(codec))
		server.RegisterService(&description, nil)
	case len(os.Args) == 3 && os.Args[1] == "host":
		server = grpc.NewServer(grpc.CustomCodec(codec), grpc.UnknownServiceHandler(forward(startPlugin())))
	default:
		log.Fatal("usage: goplugin_server direct|host PATH")
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		plugin.CleanupClients()
		os.Exit(0)
	}()
	listener, err := net.Listen("unix", os.Args[2])
	check(err)
	check(server.Serve(listener))
}
