// SPDX-License-Identifier: Apache-2.0

// Go's gRPC, as Debian has it, over a unix socket by a dialer of its own: what it sends as :authority is then the
// path, or whatever it was told.
//
//	grpc_go client PATH
//	grpc_go list WORD
//
// The client calls grpc.testing.TestService and prints "ok CASE" or "failed CASE: why" for each case; list names
// them.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const patience = 30 * time.Second
const service = "/grpc.testing.TestService/"

// Messages as bytes.
type raw struct{}

func (raw) Marshal(value interface{}) ([]byte, error) { return *value.(*[]byte), nil }
func (raw) Unmarshal(data []byte, value interface{}) error {
	*value.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "proto" }

func dial(path string, target string, options ...grpc.DialOption) *grpc.ClientConn {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options = append(options, grpc.WithInsecure(), grpc.WithBlock(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	connection, err := grpc.DialContext(ctx, target, options...)
	check(err == nil, "dial: %v", err)
	return connection
}

type failure string

func check(condition bool, format string, arguments ...interface{}) {
	if !condition {
		panic(failure(fmt.Sprintf(format, arguments...)))
	}
}

func empty(connection *grpc.ClientConn, fields ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, reply := []byte{}, []byte{}
	return connection.Invoke(metadata.AppendToOutgoingContext(ctx, fields...), service+"EmptyCall", &request, &reply)
}

func callOnce(path string, target string, options ...grpc.DialOption) {
	connection := dial(path, target, options...)
	defer connection.Close()
	err := empty(connection)
	check(err == nil, "%v", err)
}

func testAuthorityIsThePath(path string) { callOnce(path, path) }

func testAuthorityIsAURL(path string) { callOnce(path, "passthrough:///unix://"+path) }

func testAuthorityIsEmpty(path string) { callOnce(path, "passthrough:///") }

func testAuthorityIsOdd(path string) { callOnce(path, path, grpc.WithAuthority("an odd \"text\" @ /x:y")) }

func testBlanksAroundMetadata(path string) {
	connection := dial(path, path)
	defer connection.Close()
	err := empty(connection, "x-a", " before", "x-b", "behind\t", "x-c", " ")
	check(err == nil, "%v", err)
}

func upload(connection *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, service+"StreamingInputCall")
	// StreamingInputCallRequest{payload: {body: 16 KiB}}
	piece := append([]byte{0x0a, 0x84, 0x80, 0x01, 0x12, 0x80, 0x80, 0x01}, make([]byte, 16384)...)
	for i := 0; err == nil && i < 20; i++ {
		time.Sleep(5 * time.Millisecond)
		err = stream.SendMsg(&piece)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	reply := []byte{}
	if err == nil {
		err = stream.RecvMsg(&reply)
	}
	// aggregated_payload_size: 20 * 16384
	if err == nil && string(reply) != "\x08\x80\x80\x14" {
		err = fmt.Errorf("another size: %x", reply)
	}
	return err
}

func hurry(connection *grpc.ClientConn, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// SimpleRequest{response_size: 10}
	request, reply := []byte{0x10, 0x0a}, []byte{}
	return connection.Invoke(ctx, service+"UnaryCall", &request, &reply)
}

func testUploadsBesideShortDeadlines(path string) {
	connection := dial(path, path)
	defer connection.Close()
	var waiting sync.WaitGroup
	lost := make(chan error, 100)
	end := time.Now().Add(2 * time.Second)
	overdue := 0
	for i := 0; i < 4; i++ {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			for time.Now().Before(end) {
				if err := upload(connection); err != nil {
					lost <- err
					return
				}
			}
		}()
	}
	for i := 0; time.Now().Before(end); i++ {
		err := hurry(connection, time.Duration(i%20+1)*20*time.Microsecond)
		if status.Code(err) == codes.DeadlineExceeded {
			overdue++
		} else {
			check(err == nil, "%v", err)
		}
		time.Sleep(3 * time.Millisecond)
	}
	waiting.Wait()
	close(lost)
	for err := range lost {
		check(false, "an upload was lost: %v", err)
	}
	check(overdue > 0, "no deadline passed")
}

type testCase struct {
	name string
	run  func(path string)
}

var cases = []testCase{
	{"authority_is_the_path", testAuthorityIsThePath},
	{"authority_is_a_url", testAuthorityIsAURL},
	{"authority_is_empty", testAuthorityIsEmpty},
	{"authority_is_odd", testAuthorityIsOdd},
	{"blanks_around_metadata", testBlanksAroundMetadata},
	{"uploads_beside_short_deadlines", testUploadsBesideShortDeadlines},
}

func runCase(path string, each testCase) (failed int) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Printf("failed %s: %v\n", each.name, reason)
			failed = 1
		}
	}()
	each.run(path)
	fmt.Printf("ok %s\n", each.name)
	return 0
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: grpc_go client PATH, grpc_go list WORD")
		os.Exit(2)
	}
	failed := 0
	for _, each := range cases {
		if os.Args[1] == "list" {
			fmt.Println(each.name)
		} else {
			failed += runCase(os.Args[2], each)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}
