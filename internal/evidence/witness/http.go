package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/evidence"
)

// sizeType is the content of the answer to a stale checkpoint.
const sizeType = "text/x.tlog.size"

// Handler serves add-checkpoint, and beside it what was cosigned last of each log, at
// /checkpoint/ and the origin.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /checkpoint/{origin...}", func(rw http.ResponseWriter, r *http.Request) {
		checkpoint, ok := w.Last(r.PathValue("origin"))
		if !ok {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("Cache-Control", "max-age=1")
		_, _ = rw.Write(checkpoint) // a client that left is no loss
	})
	return mux
}

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, MaxRequest))
	if err != nil {
		http.Error(rw, "the request is too long, or was cut", http.StatusBadRequest)
		return
	}
	line, err := w.Add(body)
	var refused *Refusal
	switch {
	case errors.As(err, &refused) && refused.Status == statusConflict:
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(refused.Status)
		_, _ = io.WriteString(rw, strconv.FormatInt(refused.Size, 10)+"\n")
	case errors.As(err, &refused):
		http.Error(rw, refused.Why, refused.Status)
	case err != nil:
		http.Error(rw, "the witness cannot keep it now", http.StatusInternalServerError)
	default:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = rw.Write(line) // a log that left asks again
	}
}

// Client submits a log's checkpoints to a witness.
type Client struct {
	URL      string // the submission prefix, without a slash at its end
	Witness  note.Verifier
	Client   *http.Client
	cosigned int64 // that the witness has seen, as far as is known
}

// Submit asks for the cosignature of a checkpoint whose tiles are read from a source, and
// returns its line. A *Refusal says that the witness will not.
func (c *Client) Submit(ctx context.Context, from evidence.Source, head evidence.TreeHead, checkpoint []byte) ([]byte, error) {
	for range 2 {
		old := min(c.cosigned, head.Size)
		path, err := evidence.NewReader(ctx, from, head).Extends(old)
		if err != nil {
			return nil, err
		}
		status, kind, answer, err := c.post(ctx, FormatRequest(old, path, checkpoint))
		if err != nil {
			return nil, fmt.Errorf("submit to witness %s: %w", c.Witness.Name(), err)
		}
		switch {
		case status == http.StatusOK:
			n, err := note.Open(evidence.AddSignatures(checkpoint, answer), note.VerifierList(c.Witness))
			if err != nil || len(n.Sigs) == 0 {
				return nil, fmt.Errorf("submit to witness %s: it did not sign", c.Witness.Name())
			}
			c.cosigned = head.Size
			return []byte("— " + n.Sigs[0].Name + " " + n.Sigs[0].Base64 + "\n"), nil
		case status == http.StatusConflict && strings.HasPrefix(kind, sizeType):
			size, ok := evidence.Int(bytes.TrimSuffix(answer, []byte("\n")))
			if ok && size >= 0 && size <= head.Size && size != old {
				c.cosigned = size
				continue
			}
			return nil, &Refusal{status, size, fmt.Sprintf("witness %s saw another tree: it cosigned %d leaves", c.Witness.Name(), size)}
		}
		return nil, &Refusal{Status: status, Why: fmt.Sprintf("witness %s refuses: %d %.200s", c.Witness.Name(), status, bytes.TrimSpace(answer))}
	}
	return nil, fmt.Errorf("submit to witness %s: others submit at the same time", c.Witness.Name())
}

func (c *Client) post(ctx context.Context, body []byte) (status int, kind string, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	response, err := c.Client.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, evidence.MaxCheckpoint))
	return response.StatusCode, response.Header.Get("Content-Type"), answer, err
}
