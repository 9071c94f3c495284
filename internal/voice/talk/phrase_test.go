package talk

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/customer"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// Choices have two levels: what is asked for below the menu leads to no further question.
func TestLevels(t *testing.T) {
	r := newRig(t, nil)
	r.sell(awa, charged, silence)
	for _, keys := range paths {
		heard, _ := r.call(awa, strings.TrimSuffix(keys, "~"))
		below := "" // the menu
		for _, key := range heard.asked {
			switch key {
			case "menu", "more":
				below = ""
			case "matters", "windows", "promised_keep":
				if below != "" && below != key {
					t.Errorf("%q: %q", keys, heard.asked)
				}
				below = key
			}
		}
	}
}

// Every phrase that is said is there, and none is there in vain.
func TestPhrases(t *testing.T) {
	said := map[string]bool{"callback": true, "callback_late": true, "agent_call": true} // of calls that we make
	for _, stage := range []customer.Stage{customer.Asking, customer.Unconfirmed, customer.Paid, customer.Late, customer.Refunding,
		customer.Done, customer.Back, customer.Declined} {
		said[string(stage)] = true
	}
	voices := must[*speech.Voices](t)(speech.Load())
	var code strings.Builder
	for _, file := range must[[]string](t)(filepath.Glob("*.go")) {
		if !strings.HasSuffix(file, "_test.go") {
			code.Write(must[[]byte](t)(os.ReadFile(file)))
		}
	}
	keys := voices.Keys()
	for _, found := range regexp.MustCompile(`"([a-z_]+)"`).FindAllStringSubmatch(code.String(), -1) {
		if slices.Contains(keys, found[1]) {
			said[found[1]] = true
		}
	}
	for _, found := range regexp.MustCompile(`(?:say|ask|all|instead|entered|failed)\((?:"[^"]*", )?"([a-z_]+)"`).FindAllStringSubmatch(code.String(), -1) {
		if !slices.Contains(keys, found[1]) {
			t.Errorf("%q is said, and not there", found[1])
		}
	}
	for _, key := range keys {
		if !said[key] {
			t.Errorf("%q is never said", key)
		}
	}
}

// A known caller hears where the purchase stands within ten seconds of sound, in either language: the share of
// the recording that tells it is by its letters.
func TestTenSeconds(t *testing.T) {
	r := newRig(t, nil)
	sounds := must[*sound.Library](t)(sound.Load(nil))
	v := values{"Amount": speech.Amount{Minor: 1050, Currency: "XOF"}, "Date": speech.Date(noon.Time()), "Time": speech.Clock(noon.Time()), "Till": speech.Clock(noon.Time())}
	for language, tells := range map[string]string{"fr": "/4", "en": "/1"} {
		for _, key := range []string{"asking", "unconfirmed", "paid", "late", "overdue", "refunding", "refund_late", "credited", "refunded", "declined"} {
			samples := 0
			for _, clip := range append(r.cfg.Voices.Say(language, "welcome", nil), r.cfg.Voices.Say(language, key, v)...) {
				n := len(sounds.Clip(sound.ALaw, language, clip))
				if clip == speech.Clip(key+tells) {
					text := r.cfg.Voices.Words(language)[clip]
					state, _, _ := strings.Cut(text, ". ")
					samples += n * len(state) / len(text)
					break
				}
				samples += n
			}
			if seconds := float64(samples) / sound.Rate; seconds > 10 || seconds < 2 {
				t.Errorf("%s, %s: %.1f s", language, key, seconds)
			} else {
				t.Logf("%s, %s: %.1f s", language, key, seconds)
			}
		}
	}
}
