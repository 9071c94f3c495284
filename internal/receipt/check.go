package receipt

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// proofMark is how the proof begins that may follow a receipt: C2SP tlog-proof.
const proofMark = "c2sp.org/tlog-proof@v1\n"

// Split takes a receipt's file apart: the receipt, and the proof that its entry is in
// the log, nil where there is none.
func Split(file []byte) (signed, proof []byte) {
	if at := bytes.Index(file, []byte("\n\n"+proofMark)); at >= 0 {
		return file[:at+1], file[at+2:]
	}
	return file, nil
}

// Join puts a proof after a receipt.
func Join(signed, proof []byte) []byte {
	if len(proof) == 0 {
		return signed
	}
	return bytes.Join([][]byte{signed, proof}, []byte("\n"))
}

// Link is a receipt as an address: of the page that checks it, which its server never
// sees the receipt of.
func Link(page string, signed []byte) string {
	return page + "#" + base64.RawURLEncoding.EncodeToString(signed)
}

// Unwrap is the receipt of what somebody has: a receipt's text, or an address of Link,
// or what stands after its #.
func Unwrap(given []byte) ([]byte, error) {
	text := strings.TrimSpace(string(given))
	address := strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
	if strings.ContainsAny(text, " \r\n") || !address && text == "" {
		return given, nil
	}
	if address {
		_, fragment, found := strings.Cut(text, "#")
		if !found {
			return nil, &Refusal{Reason: Malformed, Text: "the address holds no receipt: nothing follows a #"}
		}
		text = fragment
	}
	signed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, &Refusal{Reason: Malformed, Text: fmt.Sprintf("%.60q is neither a receipt nor its base64url", text)}
	}
	return signed, nil
}

const dash = "— " // before each signature of a signed-note

// Open checks a receipt, without a proof, by the keys that are known. An error is a
// *Refusal. A receipt has one form only, so that whoever changes a bit of it is found out.
func Open(signed []byte, known []Key) (Receipt, error) {
	if len(signed) > MaxReceipt {
		return Receipt{}, &Refusal{Reason: Malformed, Text: fmt.Sprintf("it has more than %d bytes", MaxReceipt)}
	}
	text, line, found := strings.Cut(string(signed), "\n\n")
	if found {
		text += "\n"
	}
	x, flaw := parse(text)
	if flaw != nil {
		return Receipt{}, flaw
	}
	at := strings.Count(text, "\n") + 2 // after an empty line
	if !found {
		return Receipt{}, &Refusal{Malformed, at, "the signature is missing"}
	}
	sig, flaw := readSignature(line, at, x.Issuer)
	if flaw != nil {
		return Receipt{}, flaw
	}
	for _, k := range known {
		if k.ID() != x.Issuer {
			continue
		}
		if !k.Verify([]byte(text), sig) {
			return Receipt{}, &Refusal{Forged, at, "the key " + x.Issuer + " did not sign this text"}
		}
		return x, nil
	}
	return Receipt{}, &Refusal{UnknownKey, 2, "nothing is known of the key " + x.Issuer}
}

// readSignature reads the one line after the text.
func readSignature(line string, at int, issuer string) ([]byte, *Refusal) {
	fail := func(format string, arguments ...any) ([]byte, *Refusal) {
		return nil, &Refusal{Malformed, at, fmt.Sprintf(format, arguments...)}
	}
	body, ended := strings.CutSuffix(line, "\n")
	rest, found := strings.CutPrefix(body, dash)
	name, encoded, two := strings.Cut(rest, " ")
	if !found || !two {
		return fail("it should be %q, a name and a signature, and is %.80q", strings.TrimSpace(dash), body)
	}
	if !ended || strings.Contains(body, "\n") {
		return fail("one signature, and nothing else, should stand here")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != 4+ed25519.SignatureSize || strings.Contains(encoded, "\r") {
		return fail("the signature is not %d bytes in base64", 4+ed25519.SignatureSize)
	}
	if named, hash := parseID(issuer); name != named || binary.BigEndian.Uint32(raw) != hash {
		return fail("it is by the key %s, not by the issuer %s of line 2", keyID(fmt.Sprintf("%.64s", name), binary.BigEndian.Uint32(raw)), issuer)
	}
	return raw[4:], nil
}
