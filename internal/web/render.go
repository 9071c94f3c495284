package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"tenu/internal/purchase"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages are all pages in one language.
type pages struct{ byName map[string]*template.Template }

// together keeps French punctuation on the line of the word before it.
var together = strings.NewReplacer(" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;")

// parsePages reads every page. A page is the layout with a title and a main part;
// parts that several pages show are in parts.html.
func (w *Web) parsePages(code string) (*pages, error) {
	t := w.texts.In(code)
	base := template.New("").Funcs(template.FuncMap{
		"t":      func(key string, pairs ...string) string { return together.Replace(t.Say(key, pairs...)) },
		"icon":   icon,
		"asset":  w.assets.path,
		"number": func(m purchase.MSISDN) string { return w.vocabulary.phone(m) },
	})
	base, err := base.ParseFS(pageFiles, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	p := &pages{map[string]*template.Template{}}
	for _, name := range names {
		own, err := base.Clone()
		if err == nil {
			own, err = own.ParseFS(pageFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		p.byName[strings.TrimSuffix(path.Base(name), ".html")] = own
	}
	return p, nil
}

// render writes a page.
func (p *pages) render(w io.Writer, name string, data any) error {
	return p.part(w, name, "layout", data)
}

// part writes one part of a page.
func (p *pages) part(w io.Writer, name, part string, data any) error {
	t := p.byName[name]
	if t == nil {
		return fmt.Errorf("no page %q", name)
	}
	return t.ExecuteTemplate(w, part, data)
}

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

func icon(name string) (template.HTML, error) {
	drawing, known := icons[name]
	if !known {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">` + drawing + `</svg>`), nil //nolint:gosec // a constant
}

// assets are the files beside the pages, under names that change with their
// content, so that browsers keep them for ever.
type assets struct {
	files map[string]asset  // by path
	paths map[string]string // by name
}

type asset struct {
	kind        string
	plain, gzip []byte
}

func loadAssets() (*assets, error) {
	a := &assets{map[string]asset{}, map[string]string{}}
	names, err := fs.Glob(staticFiles, "static/*")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(staticFiles, name)
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		hash := sha256.Sum256(data)
		base, ext := path.Base(name), path.Ext(name)
		at := "/static/" + strings.TrimSuffix(base, ext) + "-" + base64.RawURLEncoding.EncodeToString(hash[:6]) + ext
		a.paths[base] = at
		a.files[at] = asset{mime.TypeByExtension(ext), data, compressed(data)}
	}
	return a, nil
}

// path is where an asset is.
func (a *assets) path(name string) (string, error) {
	at, known := a.paths[name]
	if !known {
		return "", fmt.Errorf("no asset %q", name)
	}
	return at, nil
}

// ServeHTTP answers with an asset.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, known := a.files[r.URL.Path]
	if !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	send(w, r, http.StatusOK, file.plain, file.gzip)
}

// write answers with a body, compressed where the browser takes that.
func (v *visit) write(status int, body []byte) {
	send(v.w, v.r, status, body, nil)
}

// send writes a body, compressed where the other end takes that. It may be given
// compressed already.
func send(w http.ResponseWriter, r *http.Request, status int, plain, zipped []byte) {
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
