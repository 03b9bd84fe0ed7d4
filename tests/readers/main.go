// SPDX-License-Identifier: Apache-2.0

// Reads datagrams with decoders that others wrote and says what they made of them.
//
//	readers gopacket|cistern <FILE
//
// FILE: length (four bytes, big-endian) and bytes, one after the other. A line of JSON for each datagram.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/Cistern/sflow"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

type sample struct {
	Sequence uint32                   `json:"sequence"`
	Rate     uint32                   `json:"rate"`
	Pool     uint32                   `json:"pool"`
	Drops    uint32                   `json:"drops"`
	Input    uint32                   `json:"input"`
	Output   uint32                   `json:"output"`
	IPv4     []layers.SFlowIpv4Record `json:"ipv4,omitempty"`
	IPv6     []layers.SFlowIpv6Record `json:"ipv6,omitempty"`
}

type datagram struct {
	Agent    string   `json:"agent"`
	SubAgent uint32   `json:"sub_agent"`
	Sequence uint32   `json:"sequence"`
	Error    string   `json:"error,omitempty"`
	Samples  []sample `json:"samples"`
}

func byGopacket(p []byte) datagram {
	var d layers.SFlowDatagram
	var ret datagram

	if err := d.DecodeFromBytes(p, gopacket.NilDecodeFeedback); err != nil {
		ret.Error = err.Error()
	}
	ret.Agent, ret.SubAgent, ret.Sequence = d.AgentAddress.String(), d.SubAgentID, d.SequenceNumber
	for _, s := range d.FlowSamples {
		to := sample{Sequence: s.SequenceNumber, Rate: s.SamplingRate, Pool: s.SamplePool, Drops: s.Dropped,
			Input: s.InputInterface, Output: s.OutputInterface}
		for _, r := range s.Records {
			switch r := r.(type) {
			case layers.SFlowIpv4Record:
				to.IPv4 = append(to.IPv4, r)
			case layers.SFlowIpv6Record:
				to.IPv6 = append(to.IPv6, r)
			}
		}
		ret.Samples = append(ret.Samples, to)
	}
	return ret
}

func byCistern(p []byte) datagram {
	var ret datagram

	d, err := sflow.NewDecoder(bytes.NewReader(p)).Decode()
	if err != nil {
		ret.Error = err.Error()
	}
	if d == nil {
		return ret
	}
	ret.Agent, ret.SubAgent, ret.Sequence = d.IpAddress.String(), d.SubAgentId, d.SequenceNumber
	for _, s := range d.Samples {
		if s, ok := s.(*sflow.FlowSample); ok {
			ret.Samples = append(ret.Samples, sample{Sequence: s.SequenceNum, Rate: s.SamplingRate,
				Pool: s.SamplePool, Drops: s.Drops, Input: s.Input, Output: s.Output})
		}
	}
	return ret
}

func run(read func([]byte) datagram) error {
	in, out := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var n uint32
		if err := binary.Read(in, binary.BigEndian, &n); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(in, p); err != nil {
			return err
		}
		if err := out.Encode(read(p)); err != nil {
			return err
		}
	}
}

func main() {
	read := map[string]func([]byte) datagram{"gopacket": byGopacket, "cistern": byCistern}
	if len(os.Args) != 2 || read[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: readers gopacket|cistern <FILE")
		os.Exit(2)
	}
	if err := run(read[os.Args[1]]); err != nil {
		fmt.Fprintln(os.Stderr, "readers:", err)
		os.Exit(1)
	}
}
