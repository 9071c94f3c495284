package ussd

import (
	"net/http"
	"strings"
	"unicode"

	"tenu/internal/numbering"
)

// The bounds of what a gateway sends, in bytes.
const (
	maxBody = 8 << 10
	maxPart = 64 // of what is typed on one screen
)

// Gateway answers an HTTP gateway of the convention in which each turn is a POST of
// sessionId, serviceCode, phoneNumber and text (all that was typed, joined by
// stars), and the answer begins with CON while the session goes on and with END
// when it is over. Whoever may call it is for the caller to decide.
type Gateway struct {
	Menu    *Menu
	Numbers *numbering.Directory
}

// ServeHTTP answers a turn.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the turn must be a form", http.StatusBadRequest)
		return
	}
	session, phone := r.PostForm.Get("sessionId"), r.PostForm.Get("phoneNumber")
	number, _, err := g.Numbers.Parse(phone)
	if err != nil || !named(session) {
		http.Error(w, "sessionId and phoneNumber are needed, the number one of this country's mobiles", http.StatusBadRequest)
		return
	}
	parts := typed(r.PostForm.Get("text"), r.PostForm.Get("serviceCode"))
	screen := g.Menu.Answer(r.Context(), Turn{Session: session, Number: number, Typed: parts})
	verb := "CON "
	if screen.End {
		verb = "END "
	}
	_, _ = w.Write([]byte(verb + screen.Text)) // a gateway that left needs no answer
}

// named reports whether a session's name can be kept: up to 128 visible ASCII characters.
func named(session string) bool {
	return session != "" && len(session) <= 128 &&
		strings.IndexFunc(session, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// typed are the parts of a gateway's text, without the service code that some send
// before them. When *121*7# is dialled, the text of the first turn is "7" or "121*7".
func typed(text, code string) []string {
	text = strings.Map(func(r rune) rune {
		if r == '#' || unicode.IsControl(r) { // some end each answer with a hash
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Trim(text, "*")
	if code = strings.Trim(code, "*#"); code != "" && (text == code || strings.HasPrefix(text, code+"*")) {
		text = strings.Trim(text[len(code):], "*")
	}
	if text == "" {
		return nil
	}
	parts := strings.SplitN(text, "*", maxTyped+2)
	for i := range parts {
		if len(parts[i]) > maxPart {
			parts[i] = strings.ToValidUTF8(parts[i][:maxPart], "")
		}
	}
	return parts
}
