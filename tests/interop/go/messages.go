// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/gogo/protobuf/proto"
)

const service = "berth.interop.v1.Peer"

// As peer.proto has it.
type message struct {
	Text   string `protobuf:"bytes,1,opt,name=text,proto3"`
	Number int32  `protobuf:"varint,2,opt,name=number,proto3"`
}

func (m *message) Reset()         { *m = message{} }
func (m *message) String() string { return proto.CompactTextString(m) }
func (m *message) ProtoMessage()  {}

// What leaves as it is, whatever a message would be.
type garbage struct {
	XXX_unrecognized []byte
}

func (m *garbage) Reset()         { *m = garbage{} }
func (m *garbage) String() string { return proto.CompactTextString(m) }
func (m *garbage) ProtoMessage()  {}

const detailType = "type.googleapis.com/berth.interop.v1.Message"
