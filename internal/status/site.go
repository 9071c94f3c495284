package status

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"tenu/internal/incident"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed pages phrases
var embedded embed.FS

// standard is the language of index.html; other languages stand before the file's ending.
const standard = "fr"

// Most is how many bytes a page has at most: what a first answer over TCP carries.
const Most = 14_000

// errTooLarge is returned for a page that does not fit, which the lists and texts were not cut short enough for.
var errTooLarge = errors.New("the page is too large")

// File is one file of the site.
type File struct {
	Name string // without folders
	Kind string // its media type
	Body []byte
}

// Config is what a site is made with.
type Config struct {
	Brand string
	// Public is where the files are hosted, as an absolute address that ends in "/". Only
	// feeds and messages need it: pages link to each other by name.
	Public string
	// Platform is where Server answers, likewise; "" where the public cannot reach it. The
	// files that another host serves ask it about purchases, and lead to it for messages.
	Platform string
	// Salt is what the references of the list for other hosts are hidden with: 16 bytes that never
	// change, or what one version says and what the next does would tell more than either. nil:
	// there is no list.
	Salt     []byte
	Location *time.Location
}

// Site makes files of snapshots: a pure function of them. It is safe for concurrent use.
type Site struct {
	cfg     Config
	tongues []*tongue // the standard one first
	css     template.CSS
	hash    string // of the style, as a policy names it
}

// tongue speaks and draws one language.
type tongue struct {
	*phrase.Tongue
	*Site
	set    *page.Set
	served bool // by Server, beside which the platform answers
}

// NewSite reads the site's templates and texts.
func NewSite(cfg Config) (*Site, error) {
	if cfg.Brand == "" || cfg.Location == nil {
		return nil, errors.New("status: a brand and a location are needed")
	}
	if n := len(cfg.Salt); n != 0 && n != saltBytes {
		return nil, fmt.Errorf("status: a salt has %d bytes", saltBytes)
	}
	for name, address := range map[string]string{"public": cfg.Public, "platform": cfg.Platform} {
		u, err := url.Parse(address)
		if address == "" && name == "platform" {
			continue
		}
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || !strings.HasSuffix(u.Path, "/") || u.RawQuery != "" ||
			u.Fragment != "" ||
			strings.ContainsAny(address, " ;,'\"") {
			return nil, fmt.Errorf("status: the %s address %q is not an absolute one that ends in /", name, address)
		}
	}
	style, err := fs.ReadFile(embedded, "pages/status.css")
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	css := strings.ReplaceAll(strings.TrimSpace(string(style)), "\n", "")
	hash := sha256.Sum256([]byte(css))
	s := &Site{cfg: cfg, css: template.CSS(css), hash: "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"} //nolint:gosec // our own file
	texts, err := texts()
	if err != nil {
		return nil, err
	}
	pages, err := fs.Sub(embedded, "pages")
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	languages := texts.Languages()
	slices.SortStableFunc(languages, func(a, b string) int {
		if a == standard {
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, lang := range languages {
		t := &tongue{Tongue: texts.In(lang), Site: s}
		if t.set, err = page.Parse(pages, t.Tongue, nil, nil); err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
		s.tongues = append(s.tongues, t)
	}
	return s, nil
}

func texts() (*phrase.Texts, error) {
	dir, err := fs.Sub(embedded, "phrases")
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return phrase.LoadTexts(standard, dir)
}

// Files are the site's files for another host to serve: each page has at most Most bytes,
// and is whole without any other file. They are in an order in which each is written after
// those that it links to, but for the language switch.
func (s *Site) Files(snap *Snapshot) ([]File, error) { return s.files(snap, false) }

func (s *Site) files(snap *Snapshot, served bool) ([]File, error) {
	shown := bounded(snap)
	var files []File
	for _, t := range s.tongues {
		t := t.with(served)
		pages, err := t.pages(shown)
		if err != nil {
			return nil, err
		}
		feed, err := t.feed(shown)
		if err != nil {
			return nil, err
		}
		files = append(append(files, feed), pages...)
		if t.lookup() {
			page, err := t.lookupPage()
			if err != nil {
				return nil, err
			}
			files = append(files, page)
		}
	}
	if s.tongues[0].with(served).lookup() {
		script, err := fs.ReadFile(embedded, "pages/concerned.js")
		if err != nil {
			return nil, fmt.Errorf("status: %w", err)
		}
		files = append(files, File{"concerned.js", "text/javascript; charset=utf-8", script})
	}
	data, err := s.data(shown)
	if err != nil {
		return nil, err
	}
	files = append(files, data)
	// The first page last: it is what is read.
	slices.SortStableFunc(files, func(a, b File) int { return rank(a.Name) - rank(b.Name) })
	return files, nil
}

func rank(name string) int {
	switch base, _, _ := strings.Cut(name, "."); {
	case strings.HasPrefix(base, "incident"):
		return 0
	case strings.HasPrefix(base, "history"):
		return 1
	case base == "index":
		return 3
	}
	return 2
}

// bounded is a snapshot as it is shown: the newest incidents first, of so many days.
func bounded(snap *Snapshot) *Snapshot {
	shown := *snap
	oldest := snap.At.Add(-Kept * 24 * time.Hour)
	shown.Incidents = slices.DeleteFunc(slices.Clone(snap.Incidents), func(i Incident) bool { return i.Status == incident.Closed && i.ClosedAt < oldest })
	slices.SortFunc(shown.Incidents, func(a, b Incident) int { return cmp.Compare(b.ID, a.ID) })
	slices.SortStableFunc(shown.Incidents, func(a, b Incident) int { // those that go on are never left out
		switch {
		case a.current() == b.current():
			return 0
		case a.current():
			return -1
		}
		return 1
	})
	shown.Incidents = shown.Incidents[:min(len(shown.Incidents), mostIncidents)]
	for i := range shown.Incidents {
		in := &shown.Incidents[i]
		in.Title, in.Text = cut(in.Title, details[0].name), cut(in.Text, details[0].text)
		in.Entries = slices.DeleteFunc(slices.Clone(in.Entries), func(e incident.Entry) bool { return !public(e.Event) })
		in.Entries = in.Entries[max(len(in.Entries)-details[0].course, 0):]
	}
	shown.Components = slices.Clone(snap.Components)
	shown.Components = shown.Components[:min(len(shown.Components), mostComponents)]
	for i := range shown.Components {
		c := &shown.Components[i]
		c.Name, c.Days = cut(c.Name, details[0].name), c.Days[max(len(c.Days)-Kept, 0):]
	}
	return &shown
}

// cut shortens a text in every language.
func cut(texts map[purchase.Language]string, most int) map[purchase.Language]string {
	shorter := make(map[purchase.Language]string, len(texts))
	for lang, text := range texts {
		shorter[lang] = short(text, most)
	}
	return shorter
}

// name is what a page is called in the language.
func (t *tongue) name(base string) string { return named(base, t.Code, ".html") }

func named(base, lang, end string) string {
	if lang == standard {
		return base + end
	}
	return base + "." + lang + end
}

// frame is what every page has.
type frame struct {
	Brand, Lang, Other, OtherPage, Index, Feed, Policy string
	CSS                                                template.CSS
}

// frame is that of the page of a name.
func (t *tongue) frame(base string) frame {
	other := t.tongues[0].Code
	for _, o := range t.tongues {
		if o.Code != t.Code {
			other = o.Code
			break
		}
	}
	return frame{Brand: short(t.cfg.Brand, 40), Lang: t.Code, Other: other, OtherPage: named(base, other, ".html"), Index: t.name("index"),
		Feed: named("feed", t.Code, ".xml"), Policy: t.policy(), CSS: t.css}
}

// with is the tongue of pages that the platform serves itself, or that others do.
func (t *tongue) with(served bool) *tongue {
	own := *t
	own.served = served
	return &own
}

// policy is what browsers let a page do: nothing but look as it does, and send its form.
func (s *Site) policy() string {
	return strings.TrimSpace("default-src 'none'; style-src " + s.hash + "; img-src data:; base-uri 'none'; form-action 'self' " + s.cfg.Platform)
}

// draw makes the file of a page, or returns errTooLarge.
func (t *tongue) draw(file, template string, data any) (File, error) {
	var b bytes.Buffer
	if err := t.set.Render(&b, template, data); err != nil {
		return File{}, fmt.Errorf("status: draw %s: %w", file, err)
	}
	if b.Len() > Most {
		return File{}, fmt.Errorf("status: %s has %d bytes: %w", file, b.Len(), errTooLarge)
	}
	return File{file, "text/html; charset=utf-8", b.Bytes()}, nil
}

// fit draws a page with as much detail as it has room for.
func fit(details []detail, draw func(*detail) (File, error)) (f File, err error) {
	for i := range details {
		if f, err = draw(&details[i]); !errors.Is(err, errTooLarge) {
			return f, err
		}
	}
	return f, err
}

// short is a text of at most so many characters, in one line.
func short(text string, most int) string {
	text = text[:min(len(text), 8*most)] // longer than so many characters in any case
	runes := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " "))
	if len(runes) <= most {
		return string(runes)
	}
	return strings.TrimSpace(string(runes[:most-1])) + "…"
}

// said is a text in a language, or in the standard one, or in any.
func said(texts map[purchase.Language]string, lang string) string {
	for _, l := range []string{lang, standard} {
		if text := texts[purchase.Language(l)]; text != "" {
			return text
		}
	}
	least := ""
	for l, text := range texts {
		if text != "" && (least == "" || string(l) < least) {
			least = string(l)
		}
	}
	return texts[purchase.Language(least)]
}
