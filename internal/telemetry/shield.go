package telemetry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"tenu/internal/purchase"
)

// Shield is a slog.Handler that lets no customer's number through: whoever logs one, in an
// attribute, in an error's text or in a message, has a token written in its place, the same one
// for the same number, so that lines can be found together. Only who has the installation's secret
// can tell which number a token is, by trying them all.
//
// Masked digits would not do: two known digits of eight are a hint, and tell no two people
// apart.
type Shield struct {
	next  slog.Handler
	known *atomic.Pointer[knowledge]
}

// knowledge is what a shield has to know of an installation. Without it numbers are masked.
type knowledge struct {
	key    []byte
	whole  *regexp.Regexp // with the country's calling code
	short  *regexp.Regexp
	number func(text string) (purchase.MSISDN, bool)
}

// Shielded returns a logger that no number passes, which is the same one where it is already.
func Shielded(log *slog.Logger) *slog.Logger {
	if _, already := log.Handler().(*Shield); already {
		return log
	}
	return slog.New(&Shield{log.Handler(), new(atomic.Pointer[knowledge])})
}

// Know tells a shielded logger, and all that were made from it, the installation's secret, the calling code of its country,
// how many digits its numbers have, and which texts are numbers of customers. It may be told while others log.
func Know(log *slog.Logger, secret []byte, code string, digits []int, number func(text string) (purchase.MSISDN, bool)) {
	s, shielded := log.Handler().(*Shield)
	if !shielded {
		return
	}
	var lengths []string
	for _, n := range slices.Backward(slices.Sorted(slices.Values(digits))) { // the longest is tried first
		lengths = append(lengths, `\d`+strings.Repeat(`[\s.\-]?\d`, n-1))
	}
	national := `(?:` + strings.Join(lengths, `|`) + `)`
	s.known.Store(&knowledge{key: logKey(secret), number: number,
		whole: regexp.MustCompile(`^(?:\+|00|%2[Bb])?` + code + `[\s.\-]?` + national),
		short: regexp.MustCompile(`^` + national)})
}

// logKey is the key of an installation's tokens.
func logKey(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("numbers in logs"))
	return mac.Sum(nil)
}

// Token is what stands for a number in the logs of the installation that has a secret.
func Token(secret []byte, n purchase.MSISDN) string {
	return (&knowledge{key: logKey(secret)}).token(n)
}

// token stands for a number: 65 bits of a keyed hash.
func (k *knowledge) token(n purchase.MSISDN) string {
	if k == nil || k.key == nil || n.Erased() || n == 0 {
		return n.Masked()
	}
	mac := hmac.New(sha256.New, k.key)
	mac.Write(strconv.AppendInt(nil, int64(n), 10))
	return "number-" + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil))[:13])
}

// foreign is a number with its plus sign, of whatever country.
var foreign = regexp.MustCompile(`^(?:\+|%2[Bb])\d{8,15}`)

// text is a text without numbers.
func (k *knowledge) text(s string) string {
	if k == nil {
		k = &knowledge{}
	}
	var out strings.Builder
	before, from := byte(' '), 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' || c == '%' || c >= '0' && c <= '9' {
			if n, end := k.at(s[i:], before); end > 0 {
				out.WriteString(s[from:i] + k.token(n))
				i += end - 1
				from = i + 1
				c = ' '
			}
		}
		before = c
	}
	if from == 0 {
		return s
	}
	return out.String() + s[from:]
}

// at finds a number that a text begins with, and where it ends; 0 for none. The whole number counts within other digits too.
func (k *knowledge) at(s string, before byte) (purchase.MSISDN, int) {
	if k.whole != nil {
		if found := k.whole.FindString(s); found != "" {
			if n, ok := k.number(strings.Replace(strings.Replace(found, "%2B", "+", 1), "%2b", "+", 1)); ok {
				return n, len(found)
			}
		}
		if found := k.short.FindString(s); found != "" && !digit(before) && (len(found) == len(s) || !digit(s[len(found)])) {
			if n, ok := k.number(found); ok {
				return n, len(found)
			}
		}
	}
	if found := foreign.FindString(s); found != "" {
		sign := 1
		if found[0] == '%' {
			sign = len("%2B")
		}
		if n, err := strconv.ParseInt(found[sign:], 10, 64); err == nil {
			return purchase.MSISDN(n), len(found)
		}
	}
	return 0, 0
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// Enabled is slog.Handler.
func (s *Shield) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

// Handle is slog.Handler.
func (s *Shield) Handle(ctx context.Context, r slog.Record) error {
	k := s.known.Load()
	clean := slog.NewRecord(r.Time, r.Level, k.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(k.attr(a))
		return true
	})
	return s.next.Handle(ctx, clean) //nolint:wrapcheck // it is the same handler to whoever asks
}

// WithAttrs is slog.Handler.
func (s *Shield) WithAttrs(attrs []slog.Attr) slog.Handler {
	k := s.known.Load()
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = k.attr(a)
	}
	return &Shield{s.next.WithAttrs(clean), s.known}
}

// WithGroup is slog.Handler.
func (s *Shield) WithGroup(name string) slog.Handler {
	return &Shield{s.next.WithGroup(name), s.known}
}

// attr is an attribute without numbers.
func (k *knowledge) attr(a slog.Attr) slog.Attr {
	a.Key = k.text(a.Key)
	switch v := a.Value; v.Kind() {
	case slog.KindLogValuer:
		if n, ours := v.Any().(purchase.MSISDN); ours {
			a.Value = slog.StringValue(k.token(n))
			return a
		}
		return k.attr(slog.Attr{Key: a.Key, Value: v.Resolve()})
	case slog.KindString:
		a.Value = slog.StringValue(k.text(v.String()))
	case slog.KindInt64, slog.KindUint64:
		// An integer is a number where all of it is one: "22670112233", never "70112233".
		text := "+" + v.String()
		if k != nil {
			if n, ok := k.number(text); ok {
				a.Value = slog.StringValue(k.token(n))
			}
		}
	case slog.KindGroup:
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i := range group {
			clean[i] = k.attr(group[i])
		}
		a.Value = slog.GroupValue(clean...)
	case slog.KindAny:
		text := fmt.Sprint(v.Any())
		if err, failed := v.Any().(error); failed {
			text = err.Error()
		}
		if clean := k.text(text); clean != text {
			a.Value = slog.StringValue(clean)
		}
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindTime:
	}
	return a
}
