// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
	"github.com/golang/protobuf/ptypes/any"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
)

// Knows its connections, so that one can be closed under a call.
type listener struct {
	net.Listener
	mutex       sync.Mutex
	connections []net.Conn
}

func (l *listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err == nil {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.connections = append(l.connections, connection)
	}
	return connection, err
}

func (l *listener) closeConnections() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, connection := range l.connections {
		connection.Close()
	}
	l.connections = nil
}

func method(answer func(ctx context.Context, request *message) (*message, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(interface{}) error) (interface{}, error) {
		var request message
		if err := unmarshal(&request); err != nil {
			return nil, err
		}
		return answer(ctx, &request)
	}
}

func echo(ctx context.Context, request *message) (*message, error) {
	return request, nil
}

func grow(ctx context.Context, request *message) (*message, error) {
	return &message{Text: strings.Repeat("x", int(request.Number))}, nil
}

func tellMetadata(ctx context.Context, request *message) (*message, error) {
	metadata, _ := ttrpc.GetMetadata(ctx)
	values, _ := metadata.Get(request.Text)
	return &message{Text: strings.Join(values, ","), Number: int32(len(values))}, nil
}

func tellDeadline(ctx context.Context, request *message) (*message, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return &message{Number: -1}, nil
	}
	return &message{Number: int32(time.Until(deadline).Milliseconds())}, nil
}

func wait(ctx context.Context, request *message) (*message, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(request.Number) * time.Millisecond):
		return request, nil
	}
}

func fail(ctx context.Context, request *message) (*message, error) {
	value, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	return nil, status.FromProto(&spb.Status{
		Code:    request.Number,
		Message: request.Text,
		Details: []*any.Any{{TypeUrl: detailType, Value: value}},
	}).Err()
}

func serve(path string) {
	socket, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	listener := &listener{Listener: socket}
	server.Register(service, map[string]ttrpc.Method{
		"Echo":     method(echo),
		"Grow":     method(grow),
		"Metadata": method(tellMetadata),
		"Deadline": method(tellDeadline),
		"Wait":     method(wait),
		"Fail":     method(fail),
		"Leave": method(func(ctx context.Context, request *message) (*message, error) {
			listener.closeConnections()
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	})
	go func() {
		log.Fatal(server.Serve(context.Background(), listener))
	}()
	fmt.Println("listening")
	// Until whoever started it closes its end.
	io.Copy(io.Discard, os.Stdin)
}
