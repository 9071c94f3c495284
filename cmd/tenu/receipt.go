package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/api"
	"tenu/internal/evidence"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/yamlfile"
)

// receiptCmd groups what concerns receipts.
type receiptCmd struct {
	Verify receiptVerifyCmd `cmd:"" help:"Check receipts, without asking anybody; exit 1 when one is refused or a newer one is given."`
	Get    receiptGetCmd    `cmd:"" help:"Print the newest receipt of a purchase, through the API of a running tenu."`
	Key    receiptKeyCmd    `cmd:"" help:"Print the public keys of a configuration's receipts, one a line; the first signs."`
	Newkey receiptNewkeyCmd `cmd:"" help:"Make a key to sign receipts with."`
	Page   receiptPageCmd   `cmd:"" help:"Print the page that checks receipts without a network, as a file to be kept."`
}

// receiptNewkeyCmd makes a key.
type receiptNewkeyCmd struct {
	Issuer string `arg:"" help:"Who signs, such as tenu.example."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run prints the key, which is shown nowhere else.
func (c *receiptNewkeyCmd) Run(a *app) error {
	secret, public, err := receipt.NewKey(a.random, c.Issuer)
	if err != nil {
		return usage(err)
	}
	if c.JSON {
		return a.json(map[string]string{"secret": secret, "public": public})
	}
	a.printf("The secret key, for receipts.key of the configuration; it is shown only now:\n\n  %s\n\n", secret)
	a.printf("The public key, for everybody; keep it under receipts.known when another signs:\n\n  %s\n", public)
	return nil
}

// receiptKeyCmd prints public keys.
type receiptKeyCmd struct {
	Config string `default:"tenu.yaml" type:"path" help:"The configuration file."`
}

// Run prints the keys as KeysText has them.
func (c *receiptKeyCmd) Run(a *app) error {
	issuer, err := issuerOf(a, c.Config)
	if err != nil {
		return err
	}
	for _, k := range issuer.Keys() {
		a.printf("%s\n", k.Text)
	}
	return nil
}

// issuerOf is the issuer of a configuration.
func issuerOf(a *app, path string) (*receipt.Issuer, error) {
	cfg, err := readConfig(path)
	if err != nil {
		return nil, usage(err)
	}
	issuer, err := cfg.receipts(a.env)
	if err == nil && issuer == nil {
		err = cfg.file.Errorf("receipts.key", "no receipts are signed")
	}
	if err != nil {
		return nil, usage(err)
	}
	return issuer, nil
}

// receiptPageCmd prints the page that checks receipts.
type receiptPageCmd struct {
	Config string `default:"tenu.yaml" type:"path" help:"The configuration file."`
	LogKey string `help:"The log's key, as tenu log key prints it, where the configuration has none." placeholder:"KEY"`
}

// Run prints the page.
func (c *receiptPageCmd) Run(a *app) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return usage(err)
	}
	keys, err := purchase.NewKeyring(make([]byte, 16)) // of callbacks, which the page knows nothing of
	if err != nil {
		return err
	}
	parts, err := cfg.parts(a, keys)
	if err != nil {
		return usage(err)
	}
	log, err := cfg.logKey(a.env)
	if err != nil {
		return usage(err)
	}
	if log = orElse(c.LogKey, log); log == "" {
		_, _ = fmt.Fprintln(a.err, "tenu: the log's key is not in the configuration: without --log-key the page refuses receipts with a proof")
	} else if _, err := note.NewVerifier(log); err != nil {
		return usage(fmt.Errorf("--log-key: %w", err))
	}
	site, err := cfg.receiptSite(parts, log)
	if err == nil && site == nil {
		err = usage(cfg.file.Errorf("receipts.key", "no receipts are signed"))
	}
	if err != nil {
		return err
	}
	_, err = a.out.Write(site.Saved())
	return err
}

// receiptGetCmd asks for a receipt.
type receiptGetCmd struct {
	remote
	Reference string `arg:"" help:"The purchase's reference, such as K7M2-Q4XD-9T."`
	Shared    bool   `help:"Without what its numbers could be told by, for showing to others."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run prints the receipt.
func (c *receiptGetCmd) Run(ctx context.Context, a *app) error {
	if err := c.from(a); err != nil {
		return err
	}
	path := "/v1/purchases/" + url.PathEscape(c.Reference) + "/receipt"
	if c.Shared {
		path += "?shared=true"
	}
	var r api.Receipt
	if err := c.call(ctx, http.MethodGet, path, nil, nil, &r); err != nil {
		return err
	}
	if c.JSON {
		return a.json(r)
	}
	if r.Proof == "" {
		_, _ = fmt.Fprintln(a.err, "tenu: the log has not signed this entry yet, and no proof follows: ask again in some seconds")
	}
	_, err := a.out.Write(receipt.Join([]byte(r.Text), []byte(r.Proof)))
	return err
}

// receiptVerifyCmd checks receipts.
type receiptVerifyCmd struct {
	Receipts []string `arg:"" help:"Files, - for what is typed or piped in, or a receipt's address or what follows its #. Several of one purchase show which is the newest."`
	Key      []string `help:"A public key of the issuer, as tenu receipt key prints it." placeholder:"KEY"`
	LogKey   []string `help:"The key of the log that proofs are of, as tenu log key prints it." placeholder:"KEY"`
	Witness  []string `help:"The key of a witness that must have cosigned each proof; once for each." placeholder:"KEY"`
	Proof    bool     `help:"Refuse what comes without a proof that it is in the log."`
	Keys     string   `help:"A file of public keys, as an issuer serves it at /receipts/keys." type:"path" placeholder:"FILE"`
	Config   string   `help:"A configuration whose keys are known." type:"path" placeholder:"FILE"`
	Number   string   `help:"A telephone number, with its country's code: is it the payer's, or the recipient's?"`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// checkedReceipt is what became of one receipt.
type checkedReceipt struct {
	Name      string `json:"name"`
	Valid     bool   `json:"valid"`
	Reason    string `json:"reason,omitempty"`
	Line      int    `json:"line,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	Reference string `json:"reference,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
	Charged   string `json:"charged,omitempty"`
	Fee       string `json:"fee,omitempty"`
	Product   string `json:"product,omitempty"`
	ChargedAt string `json:"charged_at,omitempty"`
	ResolveBy string `json:"resolve_by,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
	At        string `json:"at,omitempty"`
	Number    string `json:"number,omitempty"` // whose the number is: payer, recipient, both
	Log       string `json:"log,omitempty"`    // whose proof follows; absent: none does
	Leaf      *int64 `json:"leaf,omitempty"`
	Size      int64  `json:"size,omitempty"` // of the tree that was signed

	Cosigned []string `json:"cosigned,omitempty"`

	says *receipt.Receipt
}

// Run checks the receipts, prints what each says or why it is refused, and fails where
// one is.
func (c *receiptVerifyCmd) Run(a *app) error {
	trust, err := c.trust(a)
	if err != nil {
		return err
	}
	number, err := c.number()
	if err != nil {
		return usage(err)
	}
	all := make([]checkedReceipt, len(c.Receipts))
	for i, given := range c.Receipts {
		if all[i], err = checkReceipt(given, trust, number); err != nil {
			return err
		}
		if c.Proof && all[i].Valid && all[i].Log == "" {
			all[i].refuse(&receipt.Refusal{Reason: receipt.WrongProof, Text: "no proof follows it: it was issued before the log signed its entry, ask for it again"})
		}
	}
	refused := 0
	for i := range all {
		all[i].compare(all)
		if !all[i].Valid {
			refused++
		}
	}
	if c.JSON {
		err = a.json(all)
	} else {
		for i := range all {
			all[i].print(a)
		}
	}
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d of %d receipts are refused", refused, len(all))
	}
	return err
}

// trust are the keys that receipts and their proofs are checked by.
func (c *receiptVerifyCmd) trust(a *app) (t receipt.Trust, err error) {
	if c.Keys != "" {
		data, err := yamlfile.Read(c.Keys)
		if err != nil {
			return t, usage(fmt.Errorf("--keys: %w", err))
		}
		if t, err = receipt.ParseTrust(string(data)); err != nil {
			return t, usage(fmt.Errorf("--keys: %s: %w", c.Keys, err))
		}
	}
	for _, text := range c.Key {
		k, err := receipt.ParseKey(text)
		if err != nil {
			return t, usage(fmt.Errorf("--key: %w", err))
		}
		t.Keys = append(t.Keys, k)
	}
	for _, text := range c.LogKey {
		v, err := note.NewVerifier(text)
		if err != nil {
			return t, usage(fmt.Errorf("--log-key: %w", err))
		}
		t.Logs = append(t.Logs, v)
	}
	for _, text := range c.Witness {
		v, err := evidence.ParseWitnessKey(text)
		if err != nil {
			return t, usage(fmt.Errorf("--witness: %w", err))
		}
		t.Required = append(t.Required, v)
	}
	if c.Config != "" {
		issuer, err := issuerOf(a, c.Config)
		if err != nil {
			return t, err
		}
		t.Keys = append(t.Keys, issuer.Keys()...)
		if err := c.configured(a, &t); err != nil {
			return t, usage(err)
		}
	}
	if len(t.Keys) == 0 {
		return t, usage(errors.New("whose keys? give --key, --keys or --config: a receipt is as good as the key that you know from elsewhere"))
	}
	return t, nil
}

// configured adds the keys of a configuration's log and witnesses. A log whose key is derived has to be named.
func (c *receiptVerifyCmd) configured(a *app, t *receipt.Trust) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	text, err := cfg.logKey(a.env)
	if err != nil {
		return err
	}
	if text != "" {
		v, err := note.NewVerifier(text)
		if err != nil {
			return err
		}
		t.Logs = append(t.Logs, v)
	}
	for _, w := range cfg.Evidence.Witnesses {
		v, err := evidence.ParseWitnessKey(w.Key)
		if err != nil {
			return err
		}
		t.Witnesses = append(t.Witnesses, v)
	}
	return nil
}

// number is the number to be looked for, zero for none.
func (c *receiptVerifyCmd) number() (purchase.MSISDN, error) {
	if c.Number == "" {
		return 0, nil
	}
	digits := strings.NewReplacer(" ", "", "-", "", ".", "").Replace(strings.TrimPrefix(c.Number, "+"))
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || len(digits) > 15 {
		return 0, fmt.Errorf("--number: %q is no number with its country's code, such as +22670112233", c.Number)
	}
	return purchase.MSISDN(n), nil
}

// checkReceipt checks one receipt. An error says that it could not be read at all.
func checkReceipt(given string, trust receipt.Trust, number purchase.MSISDN) (checkedReceipt, error) {
	r := checkedReceipt{Name: given}
	data, err := givenReceipt(given)
	if err != nil {
		return r, err
	}
	if len(given) > 80 {
		r.Name = given[:77] + "..."
	}
	x, proven, err := trust.Check(data)
	if err == nil {
		r.says, r.Valid = &x, true
		r.fill(&x)
		r.proven(proven)
		if number != 0 {
			r.Number, err = whose(&x, number)
		}
	}
	var refusal *receipt.Refusal
	if errors.As(err, &refusal) {
		r.refuse(refusal)
	}
	return r, nil
}

// whose says whose number it is.
func whose(x *receipt.Receipt, number purchase.MSISDN) (string, error) {
	n, err := x.Opens(number)
	switch {
	case err != nil:
		return "", err
	case n.Payer && n.Recipient:
		return "both", nil
	case n.Payer:
		return "payer", nil
	}
	return "recipient", nil
}

// givenReceipt reads what is named: standard input, a file, or the receipt itself.
func givenReceipt(given string) ([]byte, error) {
	const most = 1 << 20 // bytes of a receipt with its proof
	if given == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, most))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return data, nil
	}
	f, err := os.Open(given) //nolint:gosec // of whoever typed the command
	if err != nil {
		if strings.HasPrefix(given, "https://") || strings.HasPrefix(given, "http://") || len(given) > 300 {
			return []byte(given), nil
		}
		return nil, usage(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", given, err)
	}
	return data, nil
}

func (r *checkedReceipt) refuse(refusal *receipt.Refusal) {
	r.Valid, r.Reason, r.Line, r.Detail = false, string(refusal.Reason), refusal.Line, refusal.Text
}

func (r *checkedReceipt) fill(x *receipt.Receipt) {
	text := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	r.Issuer, r.Reference, r.Sequence, r.Product = x.Issuer, x.Reference.String(), x.Sequence, x.Product
	r.Charged, r.Fee, r.ChargedAt, r.ResolveBy = x.Charged.String(), x.Fee.String(), text(x.ChargedAt), text(x.ResolveBy)
	r.Outcome, r.At = string(x.Outcome), text(x.At)
}

// proven says what the proof that follows proves.
func (r *checkedReceipt) proven(p *receipt.Proven) {
	if p == nil {
		return
	}
	r.Log, r.Leaf, r.Size = p.Log, &p.Leaf, p.Size
	for _, c := range p.Cosigned {
		r.Cosigned = append(r.Cosigned, c.By+" at "+c.At.Format(time.RFC3339))
	}
}

// logged is whether and where it is in the log, for people.
func (r *checkedReceipt) logged() string {
	if r.Leaf == nil {
		return "no proof follows: issued before the log signed this entry, ask for it again"
	}
	text := fmt.Sprintf("proven, leaf %d of %d of %s", *r.Leaf, r.Size, r.Log)
	if len(r.Cosigned) > 0 {
		text += ", cosigned by " + strings.Join(r.Cosigned, " and ")
	}
	return text
}

// compare finds a newer receipt of the same purchase among all.
func (r *checkedReceipt) compare(all []checkedReceipt) {
	var newest *checkedReceipt
	for i := range all {
		other := &all[i]
		if r.says != nil && other.says != nil && r.says.OlderThan(other.says) && (newest == nil || newest.says.OlderThan(other.says)) {
			newest = other
		}
	}
	if newest != nil && r.Valid {
		r.refuse(&receipt.Refusal{Reason: receipt.Stale, Line: 5, Text: fmt.Sprintf("it is genuine, but number %d; %s is number %d and says %s",
			r.Sequence, newest.Name, newest.Sequence, newest.Outcome)})
	}
}

func (r *checkedReceipt) print(a *app) {
	c := a.paint()
	if r.Valid {
		a.printf("%s: %s\n", plain(r.Name), c.bold("genuine"))
	} else {
		where := ""
		if r.Line > 0 {
			where = fmt.Sprintf(", line %d", r.Line)
		}
		a.printf("%s: %s: %s%s: %s\n", plain(r.Name), c.bold("refused"), strings.ReplaceAll(r.Reason, "_", " "), where, plain(r.Detail))
	}
	if r.says == nil {
		return
	}
	for _, row := range [][2]string{{"issuer", r.Issuer}, {"purchase", fmt.Sprintf("%s, receipt number %d", r.Reference, r.Sequence)}, {"product", r.Product},
		{"charged", r.Charged + ", fee " + r.Fee}, {"charged at", r.ChargedAt}, {"resolve by", r.ResolveBy}, {"outcome", strings.TrimSpace(r.Outcome + " " + r.At)}, {"number", r.Number}, {"log", r.logged()}} {
		if row[1] != "" {
			a.printf("  %-12s%s\n", row[0], row[1])
		}
	}
}
