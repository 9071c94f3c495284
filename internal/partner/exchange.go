// Package partner holds what the adapters of every protocol share: one bounded
// HTTP exchange that tells what certainly never left from what may have
// arrived. It knows no protocol; each has a folder of its own below.
package partner

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// ErrUnsent is wrapped by the error of an exchange of which it is certain that
// no byte of the request left this process.
var ErrUnsent = errors.New("nothing was sent")

// ErrTooLarge is wrapped when the answer's body is longer than the limit.
var ErrTooLarge = errors.New("answer too large")

// Answer is an HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Exchange sends one request through transport, once, and reads the whole
// answer of at most limit bytes, all under the request's context. It follows no
// redirect and keeps no cookie. An error that wraps ErrUnsent says that nothing
// left; after any other error the partner may have acted.
//
// The certainty comes from httptrace: until a connection is handed to the
// request there is nothing to write to. A transport asks for another connection
// only when it wrote nothing to the last one, or to replay a request that its
// method or an Idempotency-Key header declares replayable, so for those Exchange
// never says unsent once there was a connection. The body must be one that
// http.NewRequest can rewind.
func Exchange(transport http.RoundTripper, request *http.Request, limit int64) (*Answer, error) {
	var connected atomic.Bool
	replayable := request.Method != http.MethodPost && request.Method != http.MethodPut
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, has := request.Header[name]; has {
			replayable = true
		}
	}
	trace := &httptrace.ClientTrace{
		GetConn: func(string) {
			if !replayable {
				connected.Store(false)
			}
		},
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}
	response, err := transport.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil {
		if !connected.Load() {
			return nil, fmt.Errorf("%w: %w", ErrUnsent, err)
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer %d: %w", response.StatusCode, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("answer %d: %w than %d bytes", response.StatusCode, ErrTooLarge, limit)
	}
	return &Answer{response.StatusCode, response.Header, body}, nil
}
