package smpp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// The bounds of a PDU's length in bytes (SMPP 3.4 section 3.2). A peer that says
// another has lost its place in the stream.
const (
	headerSize = 16
	maxPDU     = 64 << 10
)

// errStream says that the stream holds no PDUs any more.
var errStream = errors.New("the length of a PDU cannot be")

// badPDU is a PDU whose header could be read and whose rest could not.
type badPDU struct {
	header pdu.Header
	status data.CommandStatusType // that says so to the peer
	err    error
}

// Error is error.
func (b *badPDU) Error() string {
	return fmt.Sprintf("PDU %#x, %d bytes: %v", uint32(b.header.CommandID), b.header.CommandLength, b.err) //nolint:gosec // as it is on the wire
}

// Unwrap gives the cause.
func (b *badPDU) Unwrap() error { return b.err }

// readPDU reads one PDU. An error that is a *badPDU spoils that PDU alone; after
// any other the stream cannot be used.
func readPDU(from *bufio.Reader) (pdu.PDU, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err //nolint:wrapcheck // io.EOF is an end like another
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < headerSize || size > maxPDU {
		return nil, fmt.Errorf("%w: %d bytes", errStream, size)
	}
	whole := make([]byte, size)
	copy(whole, head[:])
	if _, err := io.ReadFull(from, whole[headerSize:]); err != nil {
		return nil, fmt.Errorf("inside a PDU: %w", err)
	}
	return parsePDU(whole, pdu.ParseHeader(head))
}

// parsePDU understands a whole PDU, which may be hostile.
func parsePDU(whole []byte, header pdu.Header) (p pdu.PDU, err error) {
	bad := &badPDU{header: header, status: data.ESME_RSYSERR}
	defer func() {
		if r := recover(); r != nil {
			bad.err = fmt.Errorf("the library gave up: %v", r)
			p, err = nil, bad
		}
	}()
	// An answer that refuses may have no body (section 4.4.2).
	if len(whole) == headerSize && header.CommandStatus != data.ESME_ROK {
		if p, err = pdu.CreatePDUFromCmdID(header.CommandID); err == nil && !p.CanResponse() {
			return refusal{PDU: p, header: header}, nil
		}
	}
	p, err = pdu.Parse(bytes.NewReader(whole))
	if err == nil {
		return p, nil
	}
	bad.err, bad.status = err, data.ESME_RINVCMDLEN
	if _, unknown := pdu.CreatePDUFromCmdID(header.CommandID); unknown != nil {
		bad.status = data.ESME_RINVCMDID
	}
	return nil, bad
}

// refusal is an answer that consists of its header.
type refusal struct {
	pdu.PDU
	header pdu.Header
}

// GetHeader is pdu.PDU.
func (r refusal) GetHeader() pdu.Header { return r.header }

// GetSequenceNumber is pdu.PDU.
func (r refusal) GetSequenceNumber() int32 { return r.header.SequenceNumber }

// isAnswer reports whether a command is an answer to one of ours.
func isAnswer(id data.CommandIDType) bool { return uint32(id)&0x8000_0000 != 0 } //nolint:gosec // as it is on the wire

// bytesOf is a PDU as it goes over the wire.
func bytesOf(p pdu.PDU) []byte {
	buffer := pdu.NewBuffer(nil)
	p.Marshal(buffer)
	return buffer.Bytes()
}
