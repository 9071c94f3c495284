package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Trust is whose signatures somebody who checks receipts believes.
type Trust struct {
	Keys      []Key           // of issuers
	Logs      []note.Verifier // of the logs that they keep
	Witnesses []note.Verifier // that may have cosigned
	Required  []note.Verifier // witnesses that must have
}

// Words before the keys of a log and of its witnesses in a file of keys.
const (
	logWord     = "log "
	witnessWord = "witness "
)

// ParseTrust reads public keys, one a line: of issuers, of logs after the word log, of witnesses after the word witness. Empty
// lines and those that begin with # are none.
func ParseTrust(text string) (t Trust, err error) {
	at := 0
	for line := range strings.Lines(text) {
		at++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := t.add(line); err != nil {
			return Trust{}, fmt.Errorf("line %d: %w", at, err)
		}
		if len(t.Keys)+len(t.Logs)+len(t.Witnesses) > maxKeys {
			return Trust{}, fmt.Errorf("line %d: more than %d keys", at, maxKeys)
		}
	}
	return t, nil
}

func (t *Trust) add(line string) error {
	if text, found := strings.CutPrefix(line, logWord); found {
		v, err := note.NewVerifier(text)
		if err != nil {
			return fmt.Errorf("not a log's key, as name+id+base64: %w", err)
		}
		t.Logs = append(t.Logs, v)
		return nil
	}
	if text, found := strings.CutPrefix(line, witnessWord); found {
		v, err := evidence.ParseWitnessKey(text)
		if err != nil {
			return err
		}
		t.Witnesses = append(t.Witnesses, v)
		return nil
	}
	k, err := ParseKey(line)
	if err != nil {
		return err
	}
	t.Keys = append(t.Keys, k)
	return nil
}

// Proven is what the proof of a receipt proves.
type Proven struct {
	Log      string // by its origin
	Leaf     int64  // the entry's place
	Size     int64  // of the tree that was signed
	Cosigned []Cosigned
}

// Cosigned is that a witness saw the tree.
type Cosigned struct {
	By string
	At time.Time
}

// mostLeaves bounds places in a tree: what a browser can count.
const mostLeaves = 1<<53 - 1

// Check checks a receipt's file: the receipt and, where one follows, the proof that its entry is in the log. proven is nil
// where none follows. An error is a *Refusal.
func (t *Trust) Check(file []byte) (x Receipt, proven *Proven, err error) {
	signed, proof := Split(file)
	if signed, err = Unwrap(signed); err != nil {
		return Receipt{}, nil, err
	}
	if x, err = Open(signed, t.Keys); err != nil || proof == nil {
		return x, nil, err
	}
	p, flaw := t.prove(&x, proof)
	if flaw != nil {
		return Receipt{}, nil, flaw
	}
	return x, p, nil
}

// prove checks a proof. Like a receipt it has one form only.
func (t *Trust) prove(x *Receipt, text []byte) (*Proven, *Refusal) {
	refuse := func(reason Reason, format string, arguments ...any) (*Proven, *Refusal) {
		return nil, &Refusal{Reason: reason, Text: "the proof that follows: " + fmt.Sprintf(format, arguments...)}
	}
	p, err := evidence.ParseProof(text)
	if err != nil {
		return refuse(WrongProof, "%v", err)
	}
	if !utf8.Valid(text) {
		return refuse(WrongProof, "it is no text")
	}
	if p.Leaf == nil || p.Index > mostLeaves || !bytes.Equal(p.Text(), text) {
		return refuse(WrongProof, "it is not written as one is")
	}
	head, by, flaw := t.head(p.Checkpoint)
	if flaw != nil {
		return nil, flaw
	}
	h, items, err := evidence.ParseHead(p.Leaf)
	if err != nil {
		return refuse(WrongProof, "%v", err)
	}
	if h.Kind != evidence.Purchase || h.ID != int64(x.Entry) || h.Version != x.Sequence {
		return refuse(OtherEntry, "it is of %s %d, number %d, not of purchase %d, number %d", h.Kind, h.ID, h.Version, x.Entry, x.Sequence)
	}
	if p.Index >= head.Size || len(p.Path) != pathLength(p.Index, head.Size) {
		return refuse(StaleCheckpoint, "leaf %d and its %d hashes are not of the tree of %d leaves that was signed, but of another time", p.Index, len(p.Path), head.Size)
	}
	if err := tlog.CheckRecord(p.Path, head.Size, head.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
		return refuse(WrongProof, "its hashes do not lead from leaf %d to the tree of %d leaves that was signed", p.Index, head.Size)
	}
	if said := contradicts(x, &h, items); said != "" {
		return refuse(Contradicted, "the log says %s", said)
	}
	return &Proven{Log: head.Origin, Leaf: p.Index, Size: head.Size, Cosigned: by}, nil
}

var signatureForm = regexp.MustCompile(`^— ([^ \n]+) ([A-Za-z0-9+/]+={0,2})$`)

// head checks a checkpoint: three lines, an empty one, and signatures, each by a key that is known.
func (t *Trust) head(checkpoint []byte) (h evidence.TreeHead, by []Cosigned, flaw *Refusal) {
	refuse := func(reason Reason, format string, arguments ...any) (evidence.TreeHead, []Cosigned, *Refusal) {
		return h, nil, &Refusal{Reason: reason, Text: "the proof that follows: " + fmt.Sprintf(format, arguments...)}
	}
	h, err := evidence.ReadHead(checkpoint)
	body, rest, _ := strings.Cut(string(checkpoint), "\n\n")
	body += "\n"
	if err != nil || h.Size > mostLeaves || strings.Count(body, "\n") != 3 || !strings.HasSuffix(rest, "\n") ||
		body != h.Origin+"\n"+strconv.FormatInt(h.Size, 10)+"\n"+base64.StdEncoding.EncodeToString(h.Root[:])+"\n" {
		return refuse(WrongProof, "its checkpoint is not written as one is")
	}
	signed, cosigned := false, map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(rest, "\n"), "\n") {
		m := signatureForm.FindStringSubmatch(line)
		if m == nil {
			return refuse(WrongProof, "signature %d of its checkpoint is %.60q", i+1, line)
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(m[2])
		if err != nil || len(raw) < 4 {
			return refuse(WrongProof, "signature %d of its checkpoint is %.60q", i+1, line)
		}
		id := keyID(m[1], binary.BigEndian.Uint32(raw))
		verifier, of := t.whose(id)
		switch {
		case of == "":
			if m[1] == h.Origin {
				return refuse(UnknownLog, "nothing is known of the log's key %.100s", id)
			}
			return refuse(UnknownWitness, "nothing is known of the witness's key %.100s", id)
		case of == logWord && m[1] != h.Origin:
			return refuse(UnknownLog, "the log %.60s signed as another, %.60s", m[1], h.Origin)
		case !verifier.Verify([]byte(body), raw[4:]):
			return refuse(WrongProof, "the key %s did not sign its checkpoint", id)
		case of == logWord:
			signed = true
		default:
			cosigned[id] = true
			by = append(by, Cosigned{m[1], time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC()}) //nolint:gosec // the verifier bounds it
		}
	}
	if !signed {
		return refuse(UnknownLog, "no log that is known signed its checkpoint, which is of %.60s", h.Origin)
	}
	for _, v := range t.Required {
		if id := keyID(v.Name(), v.KeyHash()); !cosigned[id] {
			return refuse(Unwitnessed, "the witness %s did not cosign its checkpoint", id)
		}
	}
	return h, by, nil
}

// whose finds a key by its ID: a log's, a witness's, or nobody's.
func (t *Trust) whose(id string) (v note.Verifier, of string) {
	for _, v := range t.Logs {
		if keyID(v.Name(), v.KeyHash()) == id {
			return v, logWord
		}
	}
	for _, known := range [][]note.Verifier{t.Witnesses, t.Required} {
		for _, v := range known {
			if keyID(v.Name(), v.KeyHash()) == id {
				return v, witnessWord
			}
		}
	}
	return nil, ""
}

// pathLength is how many hashes lead from a leaf to the root of a tree (RFC 6962, section 2.1.1).
func pathLength(index, size int64) (n int) {
	for last := size - 1; last > 0; index, last = index>>1, last>>1 {
		if index&1 == 1 || index < last {
			n++
		}
	}
	return n
}

// stateWords are the outcomes by the states of leaves.
var stateWords = map[string]Outcome{purchase.Crediting.String(): Pending, purchase.Refunding.String(): Refunding, purchase.Credited.String(): Credited,
	purchase.Refunded.String(): Refunded, purchase.Declined.String(): Declined}

// contradicts says where the log says something else than the receipt, "" for nowhere.
func contradicts(x *Receipt, h *evidence.Head, items []byte) string {
	for len(items) > 0 {
		var line []byte
		line, items = evidence.NextItem(items)
		if len(line) == 0 || line[0] != evidence.ItemState {
			continue
		}
		w := evidence.Words(line, nil)
		if len(w) < 10 {
			return fmt.Sprintf("%.60q", line)
		}
		charged, _ := evidence.Int(w[2])
		switch {
		case stateWords[string(w[0])] != x.Outcome:
			return fmt.Sprintf("that it is %s", w[0])
		case charged != x.Charged.Minor || charged > 0 && string(w[4]) != string(x.Charged.Currency):
			return fmt.Sprintf("that %d %s was charged", charged, w[4])
		case !sameTime(x.ChargedAt, h.Begun, w[5]) && charged > 0:
			return "another time of the charge"
		case !sameTime(x.ResolveBy, h.Begun, w[8]) && charged > 0:
			return "another time until which it is settled"
		}
		return ""
	}
	return "nothing of how it stands"
}

// sameTime compares a receipt's time with one of a leaf, in microseconds after the purchase was made.
func sameTime(t time.Time, begun purchase.Instant, after []byte) bool {
	n, ok := evidence.Int(after)
	return ok && t.Equal(seconds(begun+purchase.Instant(n)))
}
