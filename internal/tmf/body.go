package tmf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds how deep a body is nested.
const maxDepth = 8

// malformed refuses a body that cannot be read in one way only.
func malformed(message string) *refusal {
	return refuse(http.StatusBadRequest, CodeBody, "The body cannot be read", message)
}

// read reads a body that must be exactly one JSON object, with no member twice and none that
// the document does not have. encoding/json alone would let pass members
// twice, in another case, and texts that are not UTF-8.
func read(body []byte, document any) error {
	if !utf8.Valid(body) {
		return malformed("the body is not UTF-8")
	}
	if err := walk(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(document); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return invalid(fmt.Sprintf("%s is of the wrong type", kind.Field))
		}
		if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return invalid(fmt.Sprintf("the attribute %.40s is unknown, or not kept here", name))
		}
		return malformed("the body is not JSON")
	}
	return nil
}

// walk checks a body's form, member by member.
func walk(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return malformed("the body must be one JSON object")
	}
	if err := inside(dec, '{', 1); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed("there is data after the JSON object")
	}
	return nil
}

// inside reads to the end of an object or list that has begun.
func inside(dec *json.Decoder, kind json.Delim, depth int) error {
	if depth > maxDepth {
		return malformed("the body is nested too deep")
	}
	members := map[string]bool{}
	for dec.More() {
		if kind == '{' {
			token, err := dec.Token()
			name, text := token.(string)
			if err != nil || !text {
				return malformed("the body is not JSON, or is cut short")
			}
			if members[strings.ToLower(name)] {
				return malformed("a member is given twice")
			}
			members[strings.ToLower(name)] = true
			if right := attributes[strings.ToLower(name)]; right != "" && right != name {
				return invalid("the attribute " + right + " is written otherwise")
			}
		}
		token, err := dec.Token()
		if err != nil {
			return malformed("the body is not JSON, or is cut short")
		}
		if delim, begins := token.(json.Delim); begins {
			if err := inside(dec, delim, depth+1); err != nil {
				return err
			}
		}
	}
	if _, err := dec.Token(); err != nil {
		return malformed("the body is not JSON, or is cut short")
	}
	return nil
}

// attributes are those that bodies may have, by their small letters.
var attributes = func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"description", "severity", "priority", "ticketType", "status", "statusChangeReason", "externalId", "channel",
		"relatedEntity", "relatedParty", "note", "id", "href", "name", "role", "author", "date", "text", "callback", "query",
		"@type", "@baseType", "@schemaLocation", "@referredType"} {
		all[strings.ToLower(name)] = name
	}
	return all
}()

// ref is a reference to something, of whatever kind.
type ref struct {
	ID           string `json:"id"`
	Href         string `json:"href"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	ReferredType string `json:"@referredType"`
	extended
}

// extended are the members that any object of the API may have. They say nothing here.
type extended struct {
	Type           string `json:"@type"`
	BaseType       string `json:"@baseType"`
	SchemaLocation string `json:"@schemaLocation"`
}

// noteBody is a note as a client writes it.
type noteBody struct {
	ID     string `json:"id"`
	Author string `json:"author"`
	Date   string `json:"date"`
	Text   string `json:"text"`
	extended
}

// createBody is the body of a new ticket.
type createBody struct {
	Description   string `json:"description"`
	Severity      string `json:"severity"`
	Priority      string `json:"priority"`
	TicketType    string `json:"ticketType"`
	Status        string `json:"status"`
	ExternalID    string `json:"externalId"`
	Channel       *ref   `json:"channel"`
	RelatedEntity []ref  `json:"relatedEntity"`
	RelatedParty  []ref  `json:"relatedParty"`
	extended
}

// patchBody is a merge patch (RFC 7396): what is absent stays.
type patchBody struct {
	Status             *string    `json:"status"`
	StatusChangeReason *string    `json:"statusChangeReason"`
	ExternalID         *string    `json:"externalId"`
	Note               []noteBody `json:"note"`
	extended
}

// hubBody is the body of a new listener.
type hubBody struct {
	Callback string `json:"callback"`
	Query    string `json:"query"`
}

// bounded checks a text of a body.
func bounded(name, text string, most int, needed bool) error {
	switch {
	case text == "" && needed:
		return invalid(name + " is needed")
	case utf8.RuneCountInString(text) > most:
		return invalid(fmt.Sprintf("%s must have at most %d characters", name, most))
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return invalid(name + " holds control characters")
	}
	return nil
}
