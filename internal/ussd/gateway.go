package ussd

import (
	"net/http"
	"strings"

	"tenu/internal/numbering"
)

// maxBody bounds what a gateway sends.
const maxBody = 8 << 10

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
	if err != nil || session == "" || len(session) > 128 {
		http.Error(w, "sessionId and phoneNumber are needed, the number one of this country's mobiles", http.StatusBadRequest)
		return
	}
	screen := g.Menu.Answer(r.Context(), Turn{Session: session, Number: number, Typed: typed(r.PostForm.Get("text"))})
	verb := "CON "
	if screen.End {
		verb = "END "
	}
	_, _ = w.Write([]byte(verb + screen.Text)) // a gateway that left needs no answer
}

// typed are the parts of a gateway's text.
func typed(text string) []string {
	text = strings.Trim(strings.ToValidUTF8(text, ""), "*#")
	if text == "" {
		return nil
	}
	parts := strings.SplitN(text, "*", maxTyped+2)
	for i := range parts {
		if len(parts[i]) > 64 {
			parts[i] = parts[i][:64]
		}
	}
	return parts
}
