package show

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/mod/sumdb/note"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/testpeer"
)

func issuer(t testing.TB) *receipt.Issuer {
	t.Helper()
	secret, _, err := receipt.NewKey(rand.NewChaCha8([32]byte{1}), "tenu.example")
	if err != nil {
		t.Fatal(err)
	}
	i, err := receipt.NewIssuer(secret, "https://app.tenu.example/receipts")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// signed is a receipt of a purchase in a state.
func signed(t testing.TB, i *receipt.Issuer, state purchase.State, currency money.Currency, open bool) []byte {
	t.Helper()
	p := bought(state, currency)
	_, text, err := i.Issue(&purchase.Record{Purchase: p}, "K7M2Q4XD9T", open)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bought is a purchase in a state.
func bought(state purchase.State, currency money.Currency) purchase.Purchase {
	at := purchase.At(time.Date(2026, 7, 9, 13, 45, 5, 0, time.UTC))
	p := purchase.Purchase{ID: purchase.MakeID(3, 1<<39), Version: 3, State: state, Salt: [16]byte{9, 8, 7, 15: 1}, CreatedAt: at, ClosedAt: at, RefundBy: at,
		Request: purchase.Request{PayerNumber: 22670112233, Recipient: 22676445566, Product: "airtime", Total: 1050, Fee: 50, Units: 1000, Currency: currency}}
	if state != purchase.Declined {
		p.Charged, p.ChargedAt, p.ResolveBy = money.Amount{Minor: 1050, Currency: currency}, at, at.Add(time.Hour)
	}
	return p
}

// The page makes of every receipt what this program makes of it: of genuine ones, of each
// with one flipped bit, and of what is malformed in every line, to the reason and the line.
func TestPageAgrees(t *testing.T) {
	i := issuer(t)
	keys := i.Keys()
	core, err := filepath.Abs("pages/core.js")
	if err != nil {
		t.Fatal(err)
	}
	log := newLog(t, "tenu.example/log")
	trust := receipt.Trust{Keys: keys, Logs: []note.Verifier{log.verifier}, Witnesses: []note.Verifier{log.witness}}
	known, err := json.Marshal(map[string][]string{"keys": {keys[0].Text}, "logs": {log.signer.VerifierKey()}, "witnesses": {log.cosigner.VerifierKey()}})
	if err != nil {
		t.Fatal(err)
	}
	node := testpeer.RunNode(t, "test/browser", "parity.js", core, filepath.Join(filepath.Dir(core), "nacl.js"), string(known))
	seed := uint64(20260709)
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // which bits are flipped is no secret
	t.Logf("seed %d", seed)
	reasons := map[receipt.Reason]int{}
	for _, given := range append(corpus(t, i, chance), provenCorpus(t, i, log, chance)...) {
		want := verdict(given, &trust)
		var got map[string]any
		if err := json.Unmarshal([]byte(node.Ask(base64.StdEncoding.EncodeToString(given))), &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the page says %v, this program %v of\n%q", got, want, given)
		}
		reason, _ := want["reason"].(string)
		reasons[receipt.Reason(reason)]++
	}
	for _, reason := range []receipt.Reason{"", receipt.Malformed, receipt.Forged, receipt.UnknownKey, receipt.WrongProof, receipt.UnknownLog, receipt.UnknownWitness,
		receipt.OtherEntry, receipt.StaleCheckpoint, receipt.Contradicted} {
		if reasons[reason] < 3 {
			t.Errorf("%d receipts are %q: this test tells nothing of it", reasons[reason], reason)
		}
	}
}

// corpus is receipts of every kind, and what is none.
func corpus(t *testing.T, i *receipt.Issuer, chance *rand.Rand) (all [][]byte) {
	t.Helper()
	for _, state := range purchase.States[1:] {
		for _, currency := range []money.Currency{money.XOF, money.GHS} {
			all = append(all, signed(t, i, state, currency, state%2 == 0))
		}
	}
	genuine := signed(t, i, purchase.Credited, money.XOF, true)
	all = append(all, []byte(receipt.Link("https://tenu.example/receipts", genuine)), receipt.Join(genuine, []byte("c2sp.org/tlog-proof@v1\nindex 1\n")), []byte("https://tenu.example/receipts"), []byte("?"), nil)
	for range 150 {
		bad := bytes.Clone(genuine)
		bit := chance.IntN(len(bad) * 8)
		bad[bit/8] ^= 1 << (bit % 8)
		all = append(all, bad)
	}
	lines := strings.SplitAfter(string(genuine), "\n")
	for n := range lines {
		without := strings.Join(append(append([]string{}, lines[:n]...), lines[n+1:]...), "")
		twice := strings.Join(append(append([]string{}, lines[:n+1]...), lines[n:]...), "")
		all = append(all, []byte(without), []byte(twice), []byte(strings.Join(lines[:n], "")))
	}
	for _, swap := range [][2]string{{"1050", "01050"}, {"1050 XOF", "1050 USD"}, {"1050 XOF", "1050.00 XOF"}, {"1050", "9223372036854775807"}, {"1050", "9223372036854775808"},
		{"sequence 3", "sequence 0"}, {"sequence 3", "sequence 9223372036854775808"}, {"credited", "declined"}, {"credited", "lost"}, {"credited 2026", "pending 2026"},
		{"2026-07-09T13:45:05Z\nresolve", "2026-02-29T13:45:05Z\nresolve"}, {"2026-07-09T13:45:05Z\nresolve", "2026-07-09T24:00:00Z\nresolve"}, {"2026-07-09T13:45:05Z\nresolve", "0000-07-09T13:45:05Z\nresolve"},
		{"tenu.example+", "other.example+"}, {"airtime", "AIRTIME"}, {"salt CQ", "salt =="}, {"\n", "\r\n"}, {"tenu receipt v1", "tenu receipt v2"}, {"—", "-"}} {
		all = append(all, []byte(strings.ReplaceAll(string(genuine), swap[0], swap[1])))
	}
	other := strings.ReplaceAll(string(genuine), i.Keys()[0].ID(), "tenu.example+00000000")
	at := strings.Index(other, "— tenu.example ") + len("— tenu.example ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(other[at:]))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		raw[0], raw[1], raw[2], raw[3], raw[10] = 0, 0, 0, 0, byte(n)
		all = append(all, []byte(other[:at]+base64.StdEncoding.EncodeToString(raw)+"\n"))
	}
	return all
}

// verdict is what this program makes of a receipt, in the words of parity.js.
func verdict(given []byte, trust *receipt.Trust) map[string]any {
	x, proven, err := trust.Check(given)
	var refusal *receipt.Refusal
	if errors.As(err, &refusal) {
		return map[string]any{"reason": string(refusal.Reason), "line": refusal.Line}
	}
	at, payer := "", "-"
	if !x.At.IsZero() {
		at = x.At.Format(time.RFC3339)
	}
	if x.HasSalt {
		payer = "payer"
	}
	proof := ""
	if proven != nil {
		proof = fmt.Sprintf("%s %d of %d", proven.Log, proven.Leaf, proven.Size)
		for _, c := range proven.Cosigned {
			proof += " " + c.By + " " + c.At.Format(time.RFC3339)
		}
	}
	return map[string]any{"proven": proof, "reference": x.Reference.String(), "sequence": fmt.Sprint(x.Sequence), "outcome": string(x.Outcome), "at": at,
		"charged": x.Charged.Decimal() + " " + string(x.Charged.Currency), "payer": payer}
}

// The page allows its own scripts and style by their hashes, and nothing else whatever.
func TestSite(t *testing.T) {
	i := issuer(t)
	site, err := NewSite(SiteConfig{Issuer: i, Brand: "tenu & </script>", Zone: "Africa/Ouagadougou", Prefix: "226"})
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?save"} {
		w := httptest.NewRecorder()
		site.Page(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, PagePath+query, nil))
		body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		scripts := regexp.MustCompile(`(?s)<(script|style)>(.*?)</`).FindAllStringSubmatch(body, -1)
		if len(scripts) != 4 || !strings.HasPrefix(policy, "default-src 'none'; ") {
			t.Fatalf("%d scripts and styles under %s", len(scripts), policy)
		}
		for _, s := range scripts {
			hash := sha256.Sum256([]byte(s[2]))
			if allowed := "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(policy, allowed) || !strings.Contains(body, "content=\"default-src 'none'; ") {
				t.Errorf("a %s is not allowed by %s", s[1], policy)
			}
		}
		if strings.Contains(body, "& </script>") || regexp.MustCompile(`(?:src|href|action)="?https?:`).MatchString(body) {
			t.Error("the page is broken by the brand's name, or asks for something elsewhere")
		}
		if saved := w.Header().Get("Content-Disposition") != ""; saved != (query != "") || strings.Contains(body, `href="?save"`) == saved {
			t.Errorf("%q is a file to keep: %t", query, saved)
		}
	}
	w := httptest.NewRecorder()
	site.Keys(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, KeysPath, nil))
	if trust, err := receipt.ParseTrust(w.Body.String()); err != nil || len(trust.Keys) != 1 || trust.Keys[0].Text != i.Keys()[0].Text {
		t.Errorf("the keys are served as %q, %v", w.Body, err)
	}
}

// A sheet of paper has the code and brings the receipt along as it is.
func TestPDF(t *testing.T) {
	i := issuer(t)
	text := signed(t, i, purchase.Credited, money.XOF, true)
	paper := &Paper{Brand: "tenu", Title: "Reçu K7M2-Q4XD-9T", Language: "fr", State: "Crédité", Rows: [][2]string{{"Total", "1 050 F CFA"}, {"Rien", ""}},
		Code: "Ce code est le reçu.", Link: i.Link(text), Signed: text, File: "receipt.txt", Made: time.Date(2026, 7, 9, 14, 0, 0, 0, time.UTC)}
	pdf, err := PDF(paper)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := PDF(paper); err != nil || !bytes.Equal(pdf, again) {
		t.Errorf("the same paper is printed in two ways, %v", err)
	}
	found := false
	for _, part := range bytes.SplitAfter(pdf, []byte("stream\n")) {
		z, err := zlib.NewReader(bytes.NewReader(part))
		if err != nil {
			continue
		}
		plain, _ := io.ReadAll(z) // what follows a stream is no part of it
		found = found || bytes.Equal(plain, text)
	}
	if !found {
		t.Error("the receipt does not go along")
	}
	if dir := os.Getenv("TENU_SHEETS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "receipt.pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := PDF(&Paper{Link: strings.Repeat("x", 3000)}); err == nil {
		t.Error("a code holds three thousand bytes")
	}
	if _, err := Code(strings.Repeat("x", 3000)); err == nil {
		t.Error("a code holds three thousand bytes")
	}
	if svg, err := Code(paper.Link); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) || len(svg) > 100_000 {
		t.Errorf("the code has %d bytes, %v", len(svg), err)
	}
}

// A decoder that knows nothing of the encoder reads the code back, at any size of receipt that there is.
func TestCodeIsRead(t *testing.T) {
	i := issuer(t)
	for _, state := range purchase.States[1:] {
		for _, open := range []bool{true, false} {
			link := i.Link(signed(t, i, state, money.GHS, open))
			svg, err := Code(link)
			if err != nil {
				t.Fatal(err)
			}
			got, read := "", false
			for scale := 3; scale <= 8 && !read; scale++ { // as a phone that is held nearer
				got, err = scan(drawn(t, svg, scale))
				read = err == nil
			}
			if got != link {
				t.Errorf("%s: the code is read as %q, %v, and says %q", state, got, err, link)
			}
		}
	}
}

// drawn is the picture of a code's SVG, with so many pixels for each module.
func drawn(t *testing.T, svg []byte, scale int) image.Image {
	t.Helper()
	var size int
	if _, err := fmt.Sscanf(string(svg[bytes.Index(svg, []byte("viewBox=")):]), `viewBox="0 0 %d`, &size); err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(string(svg), -1) {
		var n [3]int
		for k := range n {
			n[k], _ = strconv.Atoi(m[k+1])
		}
		draw.Draw(picture, image.Rect(n[0]*scale, n[1]*scale, (n[0]+n[2])*scale, (n[1]+1)*scale), image.Black, image.Point{}, draw.Src)
	}
	return picture
}

// scan reads one picture of a code as a phone does.
func scan(picture image.Image) (string, error) {
	bits, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", err
	}
	found, err := qrcode.NewQRCodeReader().Decode(bits, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return "", err
	}
	return found.GetText(), nil
}
