// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const patience = 30 * time.Second
const largest = 4 << 20

type testCase struct {
	name string
	run  func(path string)
}

var cases = []testCase{
	{"echo", testEcho},
	{"empty_message", testEmptyMessage},
	{"large_messages", testLargeMessages},
	{"metadata", testMetadata},
	{"deadline_is_told", testDeadlineIsTold},
	{"server_keeps_the_deadline", testServerKeepsTheDeadline},
	{"client_gives_up", testClientGivesUp},
	{"unknown_service", testUnknownService},
	{"unknown_method", testUnknownMethod},
	{"unimplemented_method", testUnimplementedMethod},
	{"unreadable_payload", testUnreadablePayload},
	{"request_of_largest_size", testRequestOfLargestSize},
	{"oversize_request", testOversizeRequest},
	{"oversize_reply", testOversizeReply},
	{"status_with_details", testStatusWithDetails},
	{"many_calls_at_once", testManyCallsAtOnce},
	{"answers_in_any_order", testAnswersInAnyOrder},
	{"client_closes_mid_call", testClientClosesMidCall},
	{"many_connections", testManyConnections},
}

// What ends a case that failed.
type failure string

func check(condition bool, format string, arguments ...interface{}) {
	if !condition {
		panic(failure(fmt.Sprintf(format, arguments...)))
	}
}

func open(path string, options ...ttrpc.ClientOpts) *ttrpc.Client {
	connection, err := net.Dial("unix", path)
	check(err == nil, "no connection: %v", err)
	return ttrpc.NewClient(connection, options...)
}

// The call's own deadline is the case's patience, and travels with it.
func call(client *ttrpc.Client, method string, request, reply proto.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Call(ctx, service, method, request, reply)
}

func checkEcho(client *ttrpc.Client, text string, number int32) {
	var reply message
	err := call(client, "Echo", &message{Text: text, Number: number}, &reply)
	check(err == nil, "%v", err)
	check(reply.Text == text && reply.Number == number, "%d bytes of text and %d came back for %d and %d",
		len(reply.Text), reply.Number, len(text), number)
}

// The error must be a status that the server sent.
func checkStatus(err error, code codes.Code, sentence string) {
	found, ok := status.FromError(err)
	check(ok && err != nil, "no status, but: %v", err)
	check(found.Code() == code, "%v instead of %v: %s", found.Code(), code, found.Message())
	check(strings.Contains(found.Message(), sentence), "%q says nothing of %q", found.Message(), sentence)
}

func testEcho(path string) {
	client := open(path)
	defer client.Close()
	for i := int32(0); i < 100; i++ {
		checkEcho(client, fmt.Sprintf("echo %d", i), i)
	}
}

func testEmptyMessage(path string) {
	client := open(path)
	defer client.Close()
	checkEcho(client, "", 0)
}

func testLargeMessages(path string) {
	client := open(path)
	defer client.Close()
	for _, size := range []int{511, 512, 513, 4096, 65536, 1 << 20, 3 << 20} {
		checkEcho(client, strings.Repeat("x", size), int32(size))
	}
}

func testMetadata(path string) {
	client := open(path)
	defer client.Close()
	ctx := ttrpc.WithMetadata(context.Background(), ttrpc.MD{
		"one": {"1"}, "many": {"a", "", "c"}, "Upper-Case": {"grüße"},
	})
	for key, value := range map[string]string{"one": "1", "many": "a,,c", "upper-case": "grüße", "none": ""} {
		var reply message
		err := client.Call(ctx, service, "Metadata", &message{Text: key}, &reply)
		check(err == nil, "%v", err)
		check(reply.Text == value, "%s: %q instead of %q", key, reply.Text, value)
	}
}

func testDeadlineIsTold(path string) {
	var reply message
	client := open(path)
	defer client.Close()
	err := client.Call(context.Background(), service, "Deadline", &message{}, &reply)
	check(err == nil && reply.Number == -1, "%v: %d ms without a deadline", err, reply.Number)
	err = call(client, "Deadline", &message{}, &reply)
	check(err == nil && reply.Number > 0 && reply.Number <= int32(patience.Milliseconds()),
		"%v: %d ms are left of %v", err, reply.Number, patience)
}

// The timeout travels, and the client itself waits on.
func withTimeout(timeout time.Duration) ttrpc.ClientOpts {
	return ttrpc.WithUnaryClientInterceptor(func(ctx context.Context, request *ttrpc.Request,
		response *ttrpc.Response, info *ttrpc.UnaryClientInfo, invoke ttrpc.Invoker) error {
		request.TimeoutNano = timeout.Nanoseconds()
		return invoke(ctx, request, response)
	})
}

func testServerKeepsTheDeadline(path string) {
	client := open(path, withTimeout(50*time.Millisecond))
	defer client.Close()
	err := call(client, "Wait", &message{Number: 60000}, &message{})
	checkStatus(err, codes.DeadlineExceeded, "deadline")
	late := open(path, withTimeout(-time.Second))
	defer late.Close()
	checkStatus(call(late, "Echo", &message{}, &message{}), codes.DeadlineExceeded, "deadline")
}

func testClientGivesUp(path string) {
	client := open(path)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := client.Call(ctx, service, "Wait", &message{Number: 60000}, &message{})
	check(errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded, "%v", err)
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	err = client.Call(ctx, service, "Wait", &message{Number: 100}, &message{})
	check(errors.Is(err, context.Canceled), "%v", err)
	// Its answer comes to a client that has forgotten it.
	check(call(client, "Wait", &message{Number: 200}, &message{}) == nil, "the next call fails")
}

func testUnknownService(path string) {
	client := open(path)
	defer client.Close()
	err := client.Call(context.Background(), "berth.interop.v1.Nobody", "Echo", &message{}, &message{})
	checkStatus(err, codes.Unimplemented, "service berth.interop.v1.Nobody")
	check(status.Convert(err).Message() == "service berth.interop.v1.Nobody", "%v", err)
}

func testUnknownMethod(path string) {
	client := open(path)
	defer client.Close()
	err := call(client, "Nothing", &message{}, &message{})
	checkStatus(err, codes.Unimplemented, "method Nothing")
	check(status.Convert(err).Message() == "method Nothing", "%v", err)
}

func testUnimplementedMethod(path string) {
	client := open(path)
	defer client.Close()
	checkStatus(call(client, "Leave", &message{}, &message{}), codes.Unimplemented, "")
}

func testUnreadablePayload(path string) {
	client := open(path)
	defer client.Close()
	err := call(client, "Echo", &garbage{[]byte{0x0a, 0xff, 0x7f}}, &message{})
	checkStatus(err, codes.Internal, "ttrpc: error unmarshalling payload")
	checkEcho(client, "still here", 1)
}

// A request whose frame holds `size` bytes.
func requestOf(size int) *message {
	frame := func(text int) int {
		payload, err := proto.Marshal(&message{Text: strings.Repeat("x", text)})
		check(err == nil, "%v", err)
		bytes, err := proto.Marshal(&ttrpc.Request{Service: service, Method: "Echo", Payload: payload})
		check(err == nil, "%v", err)
		return len(bytes)
	}
	text := size - (frame(size) - size)
	check(frame(text) == size, "no request has %d bytes", size)
	return &message{Text: strings.Repeat("x", text)}
}

func testRequestOfLargestSize(path string) {
	var reply message
	client := open(path)
	defer client.Close()
	request := requestOf(largest)
	err := client.Call(context.Background(), service, "Echo", request, &reply)
	check(err == nil && reply.Text == request.Text, "%v", err)
}

func testOversizeRequest(path string) {
	client := open(path)
	defer client.Close()
	err := client.Call(context.Background(), service, "Echo", requestOf(largest+1), &message{})
	checkStatus(err, codes.ResourceExhausted, "message length 4194305 exceed maximum message size of 4194304")
	checkEcho(client, "still here", 1)
}

func testOversizeReply(path string) {
	client := open(path)
	defer client.Close()
	checkStatus(call(client, "Grow", &message{Number: largest}, &message{}), codes.ResourceExhausted, "")
	checkEcho(client, "still here", 1)
}

func testStatusWithDetails(path string) {
	client := open(path)
	defer client.Close()
	for _, code := range []codes.Code{codes.NotFound, codes.Aborted, codes.Unauthenticated} {
		var detail message
		request := &message{Text: "fails as it should: grüße", Number: int32(code)}
		err := call(client, "Fail", request, &message{})
		checkStatus(err, code, request.Text)
		details := status.Convert(err).Proto().Details
		check(len(details) == 1 && details[0].TypeUrl == detailType, "details: %v", details)
		err = proto.Unmarshal(details[0].Value, &detail)
		check(err == nil && detail == *request, "%v: %v", err, detail)
	}
}

// Runs `run` many times at once, and fails where one of them fails.
func together(count int, run func(i int)) {
	var group sync.WaitGroup
	failures := make(chan interface{}, count)
	for i := 0; i < count; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			defer func() {
				if why := recover(); why != nil {
					failures <- why
				}
			}()
			run(i)
		}(i)
	}
	group.Wait()
	if len(failures) > 0 {
		panic(<-failures)
	}
}

func testManyCallsAtOnce(path string) {
	client := open(path)
	defer client.Close()
	together(64, func(i int) {
		for round := 0; round < 20; round++ {
			checkEcho(client, strings.Repeat("x", (i*37+round*411)%9000), int32(i*1000+round))
		}
	})
}

func testAnswersInAnyOrder(path string) {
	client := open(path)
	defer client.Close()
	done := make(chan error, 1)
	go func() {
		done <- call(client, "Wait", &message{Number: 300}, &message{})
	}()
	for i := int32(0); i < 20; i++ {
		checkEcho(client, "meanwhile", i)
	}
	err := <-done
	check(err == nil, "%v", err)
}

func testClientClosesMidCall(path string) {
	client := open(path)
	time.AfterFunc(100*time.Millisecond, func() { client.Close() })
	together(8, func(i int) {
		err := call(client, "Wait", &message{Number: 60000}, &message{})
		check(errors.Is(err, ttrpc.ErrClosed), "%v", err)
	})
	next := open(path)
	defer next.Close()
	checkEcho(next, "another connection", 1)
}

func testManyConnections(path string) {
	together(32, func(i int) {
		client := open(path)
		defer client.Close()
		checkEcho(client, fmt.Sprintf("connection %d", i), int32(i))
	})
}

func runCase(path string, each testCase) (failed int) {
	defer func() {
		switch why := recover().(type) {
		case nil:
			fmt.Printf("ok %s\n", each.name)
		case failure:
			fmt.Printf("failed %s: %s\n", each.name, strings.ReplaceAll(string(why), "\n", " "))
			failed = 1
		default:
			panic(why)
		}
	}()
	each.run(path)
	return 0
}

func runCases(path string) int {
	failed := 0
	for _, each := range cases {
		failed += runCase(path, each)
	}
	if failed > 0 {
		return 1
	}
	return 0
}
