// SPDX-License-Identifier: Apache-2.0

// Go's side of ttrpc: containerd's own implementation, as Debian has it.
//
//	ttrpc_peer server PATH
//	ttrpc_peer client PATH
//	ttrpc_peer list WORD
//
// The server answers berth.interop.v1.Peer, prints "listening", and ends with its input. The client runs its
// cases and prints "ok CASE" or "failed CASE: why" for each; list names them.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ttrpc_peer server|client PATH, ttrpc_peer list WORD")
		os.Exit(2)
	}
	// What it says of late answers is no news to a case that causes them.
	logrus.SetOutput(io.Discard)
	switch os.Args[1] {
	case "server":
		serve(os.Args[2])
	case "client":
		os.Exit(runCases(os.Args[2]))
	case "list":
		for _, each := range cases {
			fmt.Println(each.name)
		}
	}
}
