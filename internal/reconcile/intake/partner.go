package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tenu/internal/purchase"
)

// maxAnswer bounds one answer of a partner's interface.
const maxAnswer = 64 << 20

// CGRateS asks a CGRateS for its call detail records.
type CGRateS struct {
	URL    string // of its JSON-RPC
	Tenant string
	Header http.Header
	Client *http.Client
	Step   time.Duration // the time that one call asks for (default 15 minutes)
}

// Name is Source.
func (c *CGRateS) Name() string { return c.URL }

// Files is Source.
func (c *CGRateS) Files(_ context.Context, p Period) ([]File, error) {
	name := "cgrates-" + short(c.URL) + "-" + p.From.Time().Format("20060102T150405Z")
	return []File{{Name: name, Dated: true, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return paged(func(to io.Writer) error { return c.write(ctx, p, to) }), nil
	}}}, nil
}

// paged reads what a function writes, which ends when the reader is closed.
func paged(write func(io.Writer) error) io.ReadCloser {
	out, in := io.Pipe()
	go func() { _ = in.CloseWithError(write(in)) }() // ends with the last page, or when nobody reads any more
	return out
}

// joint writes pages of arrays as one array.
type joint struct {
	to    io.Writer
	begun bool
}

func (j *joint) page(entries []json.RawMessage) error {
	for _, e := range entries {
		mark := ",\n"
		if !j.begun {
			mark, j.begun = "[\n", true
		}
		if _, err := io.WriteString(j.to, mark); err != nil {
			return err
		}
		if _, err := j.to.Write(e); err != nil {
			return err
		}
	}
	return nil
}

func (j *joint) end() error {
	text := "\n]\n"
	if !j.begun {
		text = "[]\n"
	}
	_, err := io.WriteString(j.to, text)
	return err
}

// write asks for the records of short times, one after the other: CGRateS keeps no order from which pages could be told.
func (c *CGRateS) write(ctx context.Context, p Period, to io.Writer) error {
	step := c.Step
	if step <= 0 {
		step = 15 * time.Minute
	}
	out := &joint{to: to}
	for from := p.From; from < p.To; {
		till := min(from.Add(step), p.To)
		page, err := c.records(ctx, from, till)
		if errors.Is(err, errLong) && step > time.Second {
			step /= 2
			continue
		}
		if err != nil {
			return fmt.Errorf("ask for records: %w", err)
		}
		if err := out.page(page); err != nil {
			return err
		}
		from = till
	}
	return out.end()
}

// records are those of a time, without its end.
func (c *CGRateS) records(ctx context.Context, from, till purchase.Instant) ([]json.RawMessage, error) {
	filter := map[string]any{"Tenants": []string{c.Tenant}, "OriginHosts": []string{"tenu"}, "AnswerTimeStart": from.Time().Format(time.RFC3339Nano),
		"AnswerTimeEnd": till.Time().Format(time.RFC3339Nano)}
	body, err := json.Marshal(map[string]any{"id": 1, "method": "APIerSv2.GetCDRs", "params": []any{filter}})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Result []json.RawMessage `json:"result"`
		Error  *string           `json:"error"`
	}
	if _, err := exchange(c.Client, r, c.Header, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.Error == nil:
		return answer.Result, nil
	case strings.HasSuffix(*answer.Error, "NOT_FOUND"):
		return nil, nil
	}
	return nil, errors.New("the partner answered with an error")
}

// errLong says that an answer is longer than is read at once.
var errLong = fmt.Errorf("answered more than %d bytes", maxAnswer)

// exchange makes a request, and reads its JSON within maxAnswer.
func exchange(client *http.Client, r *http.Request, header http.Header, into any) (http.Header, error) {
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	case len(text) > maxAnswer:
		return nil, errLong
	}
	return response.Header, json.Unmarshal(text, into)
}

// GSMA asks a wallet for the transactions of an account, page by page, as the
// GSMA Mobile Money API 1.2 has it.
type GSMA struct {
	URL     string // of its interface
	Account string // "organisationid/tenu": the kind of identifier, and the identifier
	Header  http.Header
	Client  *http.Client
	Page    int // transactions of one answer (default 1000)
}

// Name is Source.
func (g *GSMA) Name() string { return g.URL }

// Files is Source.
func (g *GSMA) Files(_ context.Context, p Period) ([]File, error) {
	name := "gsma-" + short(g.URL+g.Account) + "-" + p.From.Time().Format("20060102T150405Z")
	return []File{{Name: name, Dated: true, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return paged(func(to io.Writer) error { return g.write(ctx, p, to) }), nil
	}}}, nil
}

func (g *GSMA) write(ctx context.Context, p Period, to io.Writer) error {
	size := g.Page
	if size <= 0 {
		size = 1000
	}
	const layout = "2006-01-02T15:04:05Z"
	kind, id, _ := strings.Cut(g.Account, "/")
	out := &joint{to: to}
	for offset := 0; ; {
		query := url.Values{"fromDateTime": {p.From.Time().Format(layout)}, "toDateTime": {p.To.Time().Format(layout)},
			"limit": {strconv.Itoa(size)}, "offset": {strconv.Itoa(offset)}}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(g.URL, "/")+"/accounts/"+url.PathEscape(kind)+"/"+url.PathEscape(id)+
			"/transactions?"+query.Encode(), nil)
		if err != nil {
			return fmt.Errorf("ask for transactions: %w", err)
		}
		var page []json.RawMessage
		header, err := exchange(g.Client, r, g.Header, &page)
		if err != nil {
			return fmt.Errorf("ask for transactions: %w", err)
		}
		if err := out.page(page); err != nil {
			return err
		}
		offset += len(page)
		available, err := strconv.Atoi(header.Get("X-Records-Available-Count"))
		if len(page) == 0 || err != nil && len(page) < size || err == nil && offset >= available {
			return out.end()
		}
	}
}
