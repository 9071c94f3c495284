package smpp

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"tenu/internal/notify/gsm7"
)

// What one short message holds, alone and as a part of a longer one (3GPP TS
// 23.040): septets of GSM 7-bit, which SMPP carries one in a byte, or UTF-16 units.
const (
	aloneSeptets, partSeptets = gsm7.MaxSeptets, 153
	aloneUnits, partUnits     = 70, 67
	maxParts                  = 10
)

var (
	// errText says that a text cannot be sent at all.
	errText = errors.New("a text is empty or too long")
	// errNotText says that what was received is no text.
	errNotText = errors.New("not a text's coding")
)

// segments is a text as short messages: in GSM 7-bit where its characters allow
// it, otherwise in UCS-2. The parts of a long one are tied together by reference.
func segments(text string, reference byte) ([]pdu.ShortMessage, error) {
	coding, parts := data.GSM7BIT, []string(nil)
	if septets, err := gsm7.Septets(text); err == nil {
		parts = split(text, septets, aloneSeptets, partSeptets, func(ch rune) int {
			n, _ := gsm7.Septets(string(ch)) // of the alphabet, as the whole text is
			return n
		})
	} else {
		coding = data.UCS2
		parts = split(text, len(utf16.Encode([]rune(text))), aloneUnits, partUnits, utf16.RuneLen)
	}
	if len(parts) == 0 || len(parts) > maxParts {
		return nil, fmt.Errorf("%w: %d parts", errText, len(parts))
	}
	messages := make([]pdu.ShortMessage, len(parts))
	for i, part := range parts {
		encoded, err := coding.Encode(part)
		if err == nil {
			err = messages[i].SetMessageDataWithEncoding(encoded, coding)
		}
		if err != nil {
			return nil, fmt.Errorf("part %d of a text: %w", i+1, err)
		}
		if len(parts) > 1 {
			messages[i].SetUDH(pdu.UDH{pdu.NewIEConcatMessage(byte(len(parts)), byte(i+1), reference)}) //nolint:gosec // at most maxParts
		}
	}
	return messages, nil
}

// split cuts a text of so many units into parts: whole if it fits one message.
func split(text string, units, alone, part int, cost func(rune) int) []string {
	if units == 0 {
		return nil
	}
	if units <= alone {
		return []string{text}
	}
	var parts []string
	from, held := 0, 0
	for i, ch := range text {
		n := max(cost(ch), 1) // what UTF-16 cannot hold becomes one replacement character
		if held+n > part {
			parts, from, held = append(parts, text[from:i]), i, 0
		}
		held += n
	}
	return append(parts, text[from:])
}

// textOf is what a received message says. A coding that is not a text's is an error.
// Some centres say ASCII and mean GSM 7-bit: no text has ASCII's control characters,
// which are letters there.
func textOf(coding data.Encoding, encoded []byte) (string, error) {
	if coding == data.ASCII && bytes.ContainsFunc(encoded, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' }) {
		coding = data.GSM7BIT
	}
	switch coding {
	case data.GSM7BIT, data.ASCII, data.LATIN1, data.UCS2:
		text, err := coding.Decode(encoded)
		if err != nil {
			return "", fmt.Errorf("text of coding %d: %w", coding.DataCoding(), err)
		}
		return text, nil
	}
	return "", errNotText
}
