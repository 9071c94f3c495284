package partner

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
)

// FuzzExchange answers with any bytes over a connection: what comes of it is a
// whole answer within the limit or an error, and never that nothing was sent.
func FuzzExchange(f *testing.F) {
	for _, bytes := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
		"HTTP/1.0 200\r\n\r\nuntil the end", "<html>", "", strings.Repeat("X: y\r\n", 64),
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	} {
		f.Add([]byte(bytes))
	}
	const limit = 1 << 10
	f.Fuzz(func(t *testing.T, bytes []byte) {
		transport := Transport(1, 0, nil)
		defer transport.CloseIdleConnections()
		over := make(chan struct{})
		transport.dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer close(over)
				defer far.Close()
				_, _ = far.Read(make([]byte, 64<<10)) // the request, in one write
				_, _ = far.Write(bytes)
			}()
			return near, nil
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://partner.invalid/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		var answer *Answer
		fuzztest.Within(t, 1<<20+16*len(bytes), func() { answer, err = Exchange(transport, request, limit) })
		transport.CloseIdleConnections()
		if (answer == nil) == (err == nil) || errors.Is(err, ErrUnsent) || answer != nil && len(answer.Body) > limit {
			t.Errorf("%q: %+v, %v", bytes, answer, err)
		}
		<-over
	})
}

// FuzzDetail: whatever a partner says, what is kept of it is short, printable,
// and tells nobody's number.
func FuzzDetail(f *testing.F) {
	for _, text := range []string{"", "account 22670112233", "+226 70 11 22 33 unknown", "70-11-22-33", "7\x000\x001\x001\x002233", "７０１１２２３３", "٧٠١١٢٢٣٣",
		"70\u200b11\u200b22\u200b33", "\u202e70112233\u202c", strings.Repeat("é7", 400), "a\xffb\n\x1b[31m", "(226)70/11.22", "request 0e3b4ec1-8a5a-4d3c-9b1f-2f3a4b5c6d7e failed"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Detail(text)
		if len(got) > purchase.MaxDetail || !utf8.ValidString(got) || Detail(got) != got {
			t.Errorf("%q became %q", text, got)
		}
		if at := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("%q became %q, which is not printable at %d", text, got, at)
		}
		fuzztest.NoNumber(t, ascii(got))
	})
}

// ascii writes the digits of every script as ASCII has them.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsDigit(r) {
			return r
		}
		for value := rune(0); ; value++ { // digits come in blocks of ten from zero
			if !unicode.IsDigit(r-value-1) || value == 9 {
				return '0' + value
			}
		}
	}, text)
}
