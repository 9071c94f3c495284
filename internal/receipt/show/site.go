// Package show is how receipts are shown: the page that checks them without a network,
// the code for a phone's camera, and the sheet of paper. It knows nothing of who may see one.
package show

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/template"

	"tenu/internal/page"
	"tenu/internal/receipt"
)

//go:embed pages
var pageFiles embed.FS

// The public addresses, below that of the page which checks receipts.
const (
	PagePath = "/receipts"
	KeysPath = "/receipts/keys"
)

// SiteConfig is what the public side of receipts is built from.
type SiteConfig struct {
	Issuer *receipt.Issuer
	// Log is the key of the log that holds what receipts say, as C2SP signed-note has it, and Witnesses those of who cosigns
	// it. "": proofs cannot be checked.
	Log       string
	Witnesses []string
	Brand     string
	Zone      string // in which times are shown, as the IANA names it
	Prefix    string // of the country's numbers, as in 226
}

// Site serves the page that checks receipts, and the issuer's public keys. The page is
// one file, which works from a disk and asks no network. It is safe for concurrent use.
type Site struct {
	served, saved []byte
	policy        string
	keys          []byte
	file          string
}

// NewSite returns the site.
func NewSite(cfg SiteConfig) (*Site, error) {
	s := &Site{keys: cfg.Issuer.KeysText(cfg.Log, cfg.Witnesses...), file: "receipts-" + strings.Map(plainName, cfg.Issuer.Name()) + ".html"}
	read := func(name string) string {
		data, err := pageFiles.ReadFile("pages/" + name)
		if err != nil {
			panic(err) // it was embedded
		}
		return string(data)
	}
	x := checkPage{CSS: read("check.css"), Nacl: read("nacl.js"), Core: read("core.js"), JS: read("check.js"), File: s.file}
	var raw checkData
	for _, k := range cfg.Issuer.Keys() {
		raw.Keys = append(raw.Keys, k.Text)
		x.Keys = append(x.Keys, template.HTMLEscapeString(k.Text))
	}
	raw.Brand, raw.Zone, raw.Prefix, raw.Logs, raw.Witnesses = cfg.Brand, cfg.Zone, cfg.Prefix, []string{}, []string{}
	if cfg.Log != "" {
		raw.Logs, raw.Witnesses = append(raw.Logs, cfg.Log), append(raw.Witnesses, cfg.Witnesses...)
	}
	for _, text := range raw.Logs {
		x.Logs = append(x.Logs, template.HTMLEscapeString(text))
	}
	for _, text := range raw.Witnesses {
		x.Witnesses = append(x.Witnesses, template.HTMLEscapeString(text))
	}
	data, err := json.Marshal(raw) // escapes < > and &, so that it stands in a page
	if err != nil {
		return nil, fmt.Errorf("make the page that checks receipts: %w", err)
	}
	x.Data, x.Brand = string(data), template.HTMLEscapeString(cfg.Brand)
	x.Policy = fmt.Sprintf("default-src 'none'; script-src %s %s %s; style-src %s; img-src data:; base-uri 'none'; form-action 'none'",
		source(x.Nacl), source(x.Core), source(x.JS), source(x.CSS))
	s.policy = x.Policy + "; frame-ancestors 'none'"
	form, err := template.New("").Parse(read("check.html"))
	if err != nil {
		return nil, fmt.Errorf("make the page that checks receipts: %w", err)
	}
	for _, each := range []struct {
		to    *[]byte
		saved bool
	}{{&s.served, false}, {&s.saved, true}} {
		var b bytes.Buffer
		x.Saved = each.saved
		if err := form.Execute(&b, &x); err != nil {
			return nil, fmt.Errorf("make the page that checks receipts: %w", err)
		}
		*each.to = b.Bytes()
	}
	return s, nil
}

// checkPage is the page's template, whose scripts stand in it as they are.
type checkPage struct {
	Policy, Brand, CSS, Nacl, Core, JS, Data, File string
	Keys, Logs, Witnesses                          []string
	Saved                                          bool
}

type checkData struct {
	Brand     string   `json:"brand"`
	Zone      string   `json:"zone"`
	Prefix    string   `json:"prefix"`
	Keys      []string `json:"keys"`
	Logs      []string `json:"logs"`
	Witnesses []string `json:"witnesses"`
}

// source allows one script or style of a page.
func source(text string) string {
	hash := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}

func plainName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
		return r
	}
	return '-'
}

// Saved is the page as a file to be kept.
func (s *Site) Saved() []byte { return s.saved }

// Page serves the page that checks receipts; with ?save it is for keeping.
func (s *Site) Page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.policy)
	h.Set("Cache-Control", "public, max-age=300")
	if r.URL.Query().Has("save") {
		h.Set("Content-Disposition", `attachment; filename="`+s.file+`"`)
		page.Send(w, r, http.StatusOK, s.saved, nil)
		return
	}
	page.Send(w, r, http.StatusOK, s.served, nil)
}

// Keys serves the issuer's public keys as text, one a line.
func (s *Site) Keys(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	page.Send(w, r, http.StatusOK, s.keys, nil)
}
