// SPDX-License-Identifier: Apache-2.0

// Go's side of the ttrpc benchmarks: ttrpc_server PATH
package main

import (
	"context"
	"log"
	"net"
	"os"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/types"
)

func answer(reply interface{}) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
		var request types.Empty
		if err := unmarshal(&request); err != nil {
			return nil, err
		}
		return reply, nil
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: ttrpc_server PATH")
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	// A BytesValue is a Chunk on the wire.
	server.Register("berth.bench.v1.Load", map[string]ttrpc.Method{
		"Nothing": answer(&types.Empty{}),
		"Page":    answer(&types.BytesValue{Value: make([]byte, 4093)}),
	})
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(context.Background(), listener))
}
