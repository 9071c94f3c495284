// Package page is what the customers' pages and the agents' console are made with:
// templates by language, files beside them under names that change with their
// content, icons, and the guards that every page is behind. It knows of no page.
package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"tenu/internal/phrase"
)

// Set is all pages in one language.
type Set struct{ byName map[string]*template.Template }

// together keeps French punctuation on the line of the word before it.
var together = strings.NewReplacer(" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;")

// Parse reads every page of a folder of templates. A page is layout.html with a title
// and a main part of its own; parts that several pages show are in parts.html. Beside
// more, templates may call t (a phrase), icon and asset.
func Parse(files fs.FS, t *phrase.Tongue, assets *Assets, more template.FuncMap) (*Set, error) {
	base := template.New("").Funcs(template.FuncMap{
		"t":     func(key string, pairs ...string) string { return together.Replace(t.Say(key, pairs...)) },
		"icon":  icon,
		"asset": assets.Path,
	}).Funcs(more)
	base, err := base.ParseFS(files, "layout.html", "parts.html")
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	names, err := fs.Glob(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	s := &Set{map[string]*template.Template{}}
	for _, name := range names {
		own, err := base.Clone()
		if err == nil {
			own, err = own.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read pages: %w", err)
		}
		s.byName[strings.TrimSuffix(name, ".html")] = own
	}
	return s, nil
}

// Render writes a page.
func (s *Set) Render(w io.Writer, name string, data any) error {
	return s.Part(w, name, "layout", data)
}

// Part writes one part of a page.
func (s *Set) Part(w io.Writer, name, part string, data any) error {
	t := s.byName[name]
	if t == nil {
		return fmt.Errorf("no page %q", name)
	}
	return t.ExecuteTemplate(w, part, data)
}

// Names lists the pages.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// icons are drawn on 24 by 24, by strokes, so that they take the colour of their text.
var icons = map[string]string{
	"check":  `<path d="M4 12.5 9.5 18 20 6.5"/>`,
	"cross":  `<path d="M6 6l12 12M18 6 6 18"/>`,
	"clock":  `<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.5 2"/>`,
	"return": `<path d="M9 7 4 12l5 5M4 12h11a5 5 0 0 1 0 10h-2" transform="translate(0 -3)"/>`,
	"folder": `<path d="M3 7a1 1 0 0 1 1-1h5l2 2.5h9a1 1 0 0 1 1 1V18a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z"/>`,
	"phone":  `<path d="M6 3h3l1.5 5-2 1.5a12 12 0 0 0 6 6l1.5-2 5 1.5v3a2 2 0 0 1-2 2A16 16 0 0 1 4 5a2 2 0 0 1 2-2z"/>`,
	"pulse":  `<path d="M3 12h4l3-7 4 14 3-7h4"/>`,
	"star":   `<path d="m12 3.5 2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.500 9.700l5.900-.8z"/>`,
	"bell":   `<path d="M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 21h4"/>`,
	"cloud":  `<path d="M7 18a4 4 0 0 1 0-8 5 5 0 0 1 9.700-1A4.500 4.500 0 0 1 17 18zM3 3l18 18"/>`,
}

// Icons lists the names of icons.
func Icons() []string { return slices.Sorted(maps.Keys(icons)) }

func icon(name string) (template.HTML, error) {
	drawing, known := icons[name]
	if !known {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">` + drawing + `</svg>`), nil //nolint:gosec // a constant
}

// Assets are the files beside the pages, under names that change with their
// content, so that browsers keep them for ever.
type Assets struct {
	files map[string]asset  // by path
	paths map[string]string // by name
}

type asset struct {
	kind        string
	plain, gzip []byte
}

// LoadAssets reads the files of a folder.
func LoadAssets(files fs.FS) (*Assets, error) {
	a := &Assets{map[string]asset{}, map[string]string{}}
	names, err := fs.Glob(files, "*")
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read assets: %w", err)
		}
		hash := sha256.Sum256(data)
		base, ext := path.Base(name), path.Ext(name)
		at := "/static/" + strings.TrimSuffix(base, ext) + "-" + base64.RawURLEncoding.EncodeToString(hash[:6]) + ext
		a.paths[base] = at
		a.files[at] = asset{mime.TypeByExtension(ext), data, compressed(data)}
	}
	return a, nil
}

// Path is where an asset is.
func (a *Assets) Path(name string) (string, error) {
	at, known := a.paths[name]
	if !known {
		return "", fmt.Errorf("no asset %q", name)
	}
	return at, nil
}

// Serve answers with the asset of a name under another address, kept as briefly as
// cache says.
func (a *Assets) Serve(w http.ResponseWriter, r *http.Request, name, kind, cache string) {
	at, known := a.paths[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", cache)
	Send(w, r, http.StatusOK, a.files[at].plain, a.files[at].gzip)
}

// ServeHTTP answers with an asset.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, known := a.files[r.URL.Path]
	if !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	Send(w, r, http.StatusOK, file.plain, file.gzip)
}

// Send writes a body, compressed where the other end takes that. It may be given
// compressed already.
func Send(w http.ResponseWriter, r *http.Request, status int, plain, zipped []byte) {
	body := plain
	w.Header().Add("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if zipped == nil {
			zipped = compressed(plain)
		}
		w.Header().Set("Content-Encoding", "gzip")
		body = zipped
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a browser that left needs no answer
	}
}

func compressed(data []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil // the level exists
	}
	_, _ = z.Write(data) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// Policy allows nothing that does not come from here. Pages have no inline script
// and no inline style.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Guard is in front of every page: it bounds what is read, refuses what other origins
// send, and tells browsers what pages may do. secure: the pages are reached by HTTPS only.
func Guard(next http.Handler, most int64, secure bool) http.Handler {
	checked := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		checked.ServeHTTP(w, r)
	})
}

// Accepted are the languages of an Accept-Language header (RFC 9110, section
// 12.5.4) in the order in which they stand there, which is that of preference in
// every browser.
func Accepted(header string) []string {
	var all []string
	for part := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(part, ";")
		if all = append(all, strings.TrimSpace(name)); len(all) == 10 {
			break
		}
	}
	return all
}

// Within is a path of ours that a visitor may be sent on to, or "/".
func Within(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

// Unbroken keeps the parts of an amount or a number on one line. Messages have plain
// spaces; pages may have these.
func Unbroken(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }

// Remote is the address of the other end of a connection, without the port, which is
// another each time; of IPv6, the network that one household or office has.
func Remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}
