// Package staff is what every set of pages for staff is made with: the visit of a browser with its session, language and
// form token, signing in by password, passkey or OpenID Connect, one's own account, and the frame of a page. It knows of no
// page beyond those.
package staff

import (
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/page"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// Config is what a site is built from. All of it is needed but Back, Funcs, Secure and Source.
type Config struct {
	Name     string // of the site: its cookies begin with it
	Salt     string // of the site's message authentication codes
	Brand    string
	Staff    *auth.StaffDesk
	Back     string // where an OpenID provider sends browsers back to; "": that way in is not offered
	Location *time.Location
	Clock    purchase.Clock
	Random   io.Reader
	Secret   []byte // of the installation, at least 16 bytes
	Log      *slog.Logger
	MaxBody  int64 // of a request, in bytes
	Secure   bool  // the site is reached by HTTPS only
	// Source is where a request comes from; nil: the connection's other end.
	Source func(*http.Request) string
	// Files holds pages, static and phrases of the site. What is here beside them is not repeated there.
	Files fs.FS
	Funcs template.FuncMap // more that templates may call
}

//go:embed pages phrases static
var shared embed.FS

// standard is the language that is spoken where none is known.
const standard = "fr"

// Site is pages for staff. It is safe for concurrent use.
type Site struct {
	cfg    Config
	Texts  *phrase.Texts
	Assets *page.Assets
	pages  map[string]*page.Set // by language
}

// New reads a site's texts, pages and what stands beside them, or returns an error that says what cannot be.
func New(cfg Config) (*Site, error) {
	if cfg.Name == "" || cfg.Salt == "" || cfg.Staff == nil || cfg.Location == nil || cfg.Clock == nil || cfg.Random == nil || len(cfg.Secret) < 16 || cfg.Log == nil ||
		cfg.MaxBody <= 0 || cfg.Files == nil {
		return nil, errors.New("staff: something that is needed is missing")
	}
	if cfg.Source == nil {
		cfg.Source = page.Remote
	}
	s := &Site{cfg: cfg, pages: map[string]*page.Set{}}
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	return s, nil
}

func (s *Site) read() (err error) {
	if s.Texts, err = phrase.LoadTexts(standard, With(s.cfg.Files, "phrases")); err != nil {
		return err
	}
	if s.Assets, err = page.LoadAssets(With(s.cfg.Files, "static")); err != nil {
		return err
	}
	more := template.FuncMap{"link": link, "join": func(all []string) string { return strings.Join(all, ", ") }}
	maps.Copy(more, s.cfg.Funcs)
	for _, code := range s.Texts.Languages() {
		if s.pages[code], err = page.Parse(With(s.cfg.Files, "pages"), s.Texts.In(code), s.Assets, more); err != nil {
			return err
		}
	}
	return nil
}

// Guard is in front of all pages of the site.
func (s *Site) Guard(next http.Handler) http.Handler {
	return page.Guard(next, s.cfg.MaxBody, s.cfg.Secure)
}

// With is a folder of a site's files together with what every site has in a folder of that name. Texts of one language are one text.
func With(own fs.FS, folder string) fs.FS { return together{{own, folder}, {shared, folder}} }

// together is folders as if they were one.
type together []struct {
	fs.FS
	folder string
}

// Open is fs.FS: the first file of a name.
func (t together) Open(name string) (fs.File, error) {
	err := fs.ErrNotExist
	for _, dir := range t {
		var f fs.File
		if f, err = dir.FS.Open(dir.folder + "/" + name); err == nil {
			return f, nil
		}
	}
	return nil, err
}

// Glob is fs.GlobFS.
func (t together) Glob(pattern string) (all []string, err error) {
	for _, dir := range t {
		found, err := fs.Glob(dir.FS, dir.folder+"/"+pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			all = append(all, strings.TrimPrefix(name, dir.folder+"/"))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// ReadFile is fs.ReadFileFS: texts of a name one after the other, and of other files the first.
func (t together) ReadFile(name string) (all []byte, err error) {
	found := false
	for _, dir := range t {
		data, err := fs.ReadFile(dir.FS, dir.folder+"/"+name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !strings.HasSuffix(name, ".yaml"):
			return data, nil
		}
		found, all = true, append(append(all, data...), '\n')
	}
	if !found {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return all, nil
}

// link lets a page lead to a telephone or an authenticator, and nowhere else.
func link(to string) template.URL {
	for _, scheme := range []string{"tel:", "otpauth:"} {
		if strings.HasPrefix(to, scheme) {
			return template.URL(to) //nolint:gosec // one of two schemes that run nothing
		}
	}
	return ""
}

// mac is a message authentication code under the installation's secret.
func (s *Site) mac(parts ...string) string {
	mac := hmac.New(sha256.New, s.cfg.Secret)
	for _, part := range append([]string{s.cfg.Salt}, parts...) {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
