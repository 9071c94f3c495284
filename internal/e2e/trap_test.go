package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// hostileAnswer is a way to answer a request on its connection.
type hostileAnswer struct {
	name string
	give func(net.Conn) error
}

const jsonHead, xmlHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"

// answers are those of any protocol, and those whose bodies are given.
func answers(head string, bodies map[string]string) []hostileAnswer {
	list := []hostileAnswer{
		{"gigabyte", func(c net.Conn) error { return pour(c, head+"Content-Length: 1073741824\r\n\r\n", blanks) }},
		{"chunks", func(c net.Conn) error { return pour(c, head+"Transfer-Encoding: chunked\r\n\r\n", chunk) }},
		{"headers", func(c net.Conn) error { return pour(c, head+"X-Header: ", blanks) }},
		{"early hints", func(c net.Conn) error { return pour(c, "", []byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")) }},
		{"drip", func(c net.Conn) error { return drip(c, head+"Content-Length: 4000\r\n\r\n", 4000) }},
		{"dripping headers", func(c net.Conn) error { return drip(c, "HTTP/1.1 200 OK\r\nX-Header: ", 4000) }},
	}
	for name, body := range bodies {
		list = append(list, hostileAnswer{name, func(c net.Conn) error {
			_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, len(body), body) // or it has had enough
			return nil
		}})
	}
	return list
}

func jsonAnswers() []hostileAnswer {
	return answers(jsonHead, map[string]string{
		"nested":  strings.Repeat(`{"transactionReference":`, 2600),
		"objects": `{"serverCorrelationId":"1","status":"pending","error":` + strings.Repeat(`{"error":`, 5000) + "1" + strings.Repeat("}", 5000) + "}",
	})
}

func xmlAnswers() []hostileAnswer {
	const head, tail = `<?xml version="1.0"?><methodResponse><params><param>`, `</param></params></methodResponse>`
	bomb := `<!DOCTYPE b [<!ENTITY a0 "ha">`
	for i := 1; i < 30; i++ {
		bomb += fmt.Sprintf(`<!ENTITY a%d "&a%d;&a%[2]d;&a%[2]d;&a%[2]d;">`, i, i-1)
	}
	const most = 512<<10 - 1<<10 // what is read of an answer
	return answers(xmlHead, map[string]string{
		"bomb":       bomb + `]>` + head + `<value>&a29;</value>` + tail,
		"nested":     head + strings.Repeat(`<value><array><data>`, most/20),
		"elements":   strings.Repeat(`<a>`, most/3),
		"values":     head + `<value><array><data>` + strings.Repeat(`<value/>`, most/8),
		"text":       head + `<value><string>` + strings.Repeat("x", most) + `</string></value>` + tail,
		"references": head + `<value><string>` + strings.Repeat("&#65;", most/5) + `</string></value>` + tail,
		"comments":   head + `<value>` + strings.Repeat("<!---->", most/7),
		"attributes": `<a` + strings.Repeat(` b=""`, most/5) + `/>`,
		"blanks":     head + `<value><base64>` + strings.Repeat("A ", most/2) + `</base64></value>` + tail,
		"base64":     head + `<value><base64>` + strings.Repeat("AAAA", most/4) + `</base64></value>` + tail,
	})
}

var (
	blanks = bytes.Repeat([]byte(" "), 64<<10)
	chunk  = append(append([]byte("10000\r\n"), blanks...), "\r\n"...)
)

var errTaken = errors.New("a gigabyte was taken")

// pour sends head, and then the same again and again, until the other end has
// had enough.
func pour(c net.Conn, head string, again []byte) error {
	if _, err := io.WriteString(c, head); err != nil {
		return nil //nolint:nilerr // had enough
	}
	for sent := 0; sent < gigabyte; sent += len(again) {
		if _, err := c.Write(again); err != nil {
			if sent > bufferLimit {
				return fmt.Errorf("%d MB were taken", sent>>20)
			}
			return nil
		}
	}
	return errTaken
}

// drip sends head, and then a byte now and then, until the other end has had enough.
func drip(c net.Conn, head string, most int) error {
	if _, err := io.WriteString(c, head); err != nil {
		return nil //nolint:nilerr // had enough
	}
	for range most {
		time.Sleep(100 * time.Millisecond) // the attack itself
		if _, err := c.Write([]byte("x")); err != nil {
			return nil //nolint:nilerr // had enough
		}
	}
	return errors.New("the drip was borne with")
}

// trap is a partner that answers questions after its health, and everything
// else with one hostile answer after the other. It returns its address.
func (s *siege) trap(name string, answers []hostileAnswer) string {
	t := s.r.t
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by the test
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan hostileAnswer)
	over := make(chan struct{})
	t.Cleanup(func() { close(over); listener.Close() })
	go func() {
		for i := 0; ; i++ {
			select {
			case next <- answers[i%len(answers)]:
			case <-over:
				return
			}
		}
	}()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				s.spring(name, conn, next)
			}()
		}
	}()
	return listener.Addr().String()
}

// spring answers one request of the server's.
func (s *siege) spring(name string, conn net.Conn, next <-chan hostileAnswer) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	healthy := ""
	switch {
	case strings.HasSuffix(request.URL.Path, "/heartbeat"):
		healthy = `{"serviceStatus":"available"}`
	case bytes.Contains(body, []byte("GetCapabilities")):
		healthy = `<?xml version="1.0"?><methodResponse><params><param><value><struct><member><name>responseCode</name><value><i4>0</i4></value></member></struct></value></param></params></methodResponse>`
	}
	if healthy != "" {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(healthy), healthy)
		return
	}
	if key := request.Header.Get("X-CorrelationID"); key != "" {
		s.mu.Lock()
		s.key = key
		s.mu.Unlock()
	}
	answer := <-next
	if err := answer.give(conn); err != nil {
		s.r.t.Errorf("%s, %s: %v", name, answer.name, err)
	}
	s.done(name + " " + answer.name)
}
