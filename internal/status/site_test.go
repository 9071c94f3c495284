package status

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"tenu/internal/incident"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

func byName(files []File) map[string]string {
	all := map[string]string{}
	for _, f := range files {
		all[f.Name] = string(f.Body)
	}
	return all
}

// walk visits all elements of a page.
func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// checkPage parses a page: its links resolve, nothing of it runs or is fetched, and what screen readers need is there.
func checkPage(t *testing.T, name, body string, files map[string]string) {
	t.Helper()
	if len(body) > Most {
		t.Errorf("%s has %d bytes", name, len(body))
	}
	if strings.ContainsAny(body, "\x00") || !strings.HasPrefix(body, "<!doctype html>") {
		t.Errorf("%s is no text of HTML", name)
	}
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	count := map[string]int{}
	labels, inputs := map[string]bool{}, []string{}
	walk(root, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		count[n.Data]++
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" {
				t.Errorf("%s: <%s %s>", name, n.Data, a.Key)
			}
		}
		switch n.Data {
		case "html":
			if want := map[bool]string{true: "en", false: "fr"}[strings.Contains(name, ".en.")]; attribute(n, "lang") != want {
				t.Errorf("%s is in %q", name, attribute(n, "lang"))
			}
		case "a", "link":
			u, err := url.Parse(attribute(n, "href"))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if u.Scheme == "data" || u.Host == "tenu.example" {
				return
			}
			if u.IsAbs() || strings.HasPrefix(u.Path, "/") || u.Path != "" && files[u.Path] == "" {
				t.Errorf("%s links to %s", name, u)
			}
		case "label":
			labels[attribute(n, "for")] = true
		case "input", "select":
			if attribute(n, "type") != "hidden" {
				inputs = append(inputs, attribute(n, "id"))
			}
		case "svg":
			if attribute(n, "aria-hidden") == "" && (attribute(n, "role") != "img" || attribute(n, "aria-label") == "") {
				t.Errorf("%s: a picture says nothing to who cannot see it", name)
			}
		case "style":
			text := n.FirstChild.Data
			hash := sha256.Sum256([]byte(text))
			if !strings.Contains(html.UnescapeString(body), "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'") {
				t.Errorf("%s: the policy does not name the style", name)
			}
		case "script", "img", "iframe", "object":
			t.Errorf("%s has a <%s>", name, n.Data)
		}
	})
	if count["h1"] > 1 || count["main"] != 1 || count["title"] != 1 {
		t.Errorf("%s: %v", name, count)
	}
	for _, id := range inputs {
		if !labels[id] {
			t.Errorf("%s: the field %q has no label", name, id)
		}
	}
}

func TestPagesAreWhole(t *testing.T) {
	for what, snap := range map[string]*Snapshot{"ongoing": ongoing(), "over": over(), "nothing": {At: noon}, "crowded": crowded()} {
		for _, platform := range []string{"", "https://tenu.example/etat/"} {
			list, err := newSite(t, platform).Files(snap)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			files := byName(list)
			for _, want := range []string{"index.html", "index.en.html", "history.html", "history.en.html", "status.json", "feed.xml", "feed.en.xml"} {
				if files[want] == "" {
					t.Errorf("%s: no %s", what, want)
				}
			}
			for name, body := range files {
				if strings.HasSuffix(name, ".html") {
					checkPage(t, what+"/"+name, body, files)
				}
			}
			if asks := strings.Contains(files["index.html"], "<form"); asks != (platform != "") {
				t.Errorf("%s: a form: %v, with the platform at %q", what, asks, platform)
			}
		}
	}
}

// TestPagesSayIt looks for what people come for, in both languages.
func TestPagesSayIt(t *testing.T) {
	files := byName(filesOf(t, ongoing()))
	for name, wanted := range map[string][]string{
		"index.html": {"Des ventes sont suspendues", "Crédit d&#39;unités en retard", "Concern", ">214<", "214\u00a0000\u00a0F\u00a0CFA",
			">150<", ">52<", "09/07/2024", "99,9"},
		"index.en.html": {"Some sales are paused", "Airtime credited late", "Purchases affected", ">214<", "9\u00a0Jul\u00a02024", "99.9",
			"Expected to end"},
		"incident-12.html": {"I-12", "Ventes suspendues", "13:45:02"[:5], ">197<", "Ventes ouvertes à 1\u00a0%", "Premiers échecs"},
		"history.html":     {"Paiement mobile indisponible", "7\u00a0jours", "90\u00a0jours", "Du 28/06/2024"[:3]},
	} {
		for _, want := range wanted {
			if want == "Concern" {
				want = "Achats concernés"
			}
			if !strings.Contains(files[name], want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
	for name, body := range files { // what is the staff's
		for _, secret := range []string{"70112233", "Awa", "provider:ocs", "20 paid"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s says %q", name, secret)
			}
		}
	}
	if got := byName(filesOf(t, over()))["index.html"]; !strings.Contains(got, "Tout fonctionne") || strings.Contains(got, "En ce moment") {
		t.Error("the day after, something still fails")
	}
}

func filesOf(t *testing.T, s *Snapshot) []File {
	t.Helper()
	files, err := newSite(t, "https://tenu.example/etat/").Files(s)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesAreAFunctionOfTheSnapshot(t *testing.T) {
	s := ongoing()
	before := ongoing()
	first := filesOf(t, s)
	for range 3 {
		if again := filesOf(t, s); !reflect.DeepEqual(first, again) {
			t.Fatal("the same snapshot made other files")
		}
	}
	if !reflect.DeepEqual(s, before) {
		t.Error("the snapshot was changed")
	}
	// What is over does not change with the hour.
	s.At = s.At.Add(time.Minute)
	later := byName(filesOf(t, s))
	for name, body := range byName(first) {
		changes := strings.HasPrefix(name, "index") || strings.HasPrefix(name, "incident-12") || name == "status.json"
		if (body != later[name]) != changes {
			t.Errorf("%s: changed %v a minute later", name, !changes)
		}
	}
}

func TestFeedIsRSS(t *testing.T) {
	for what, s := range map[string]*Snapshot{"ongoing": ongoing(), "crowded": crowded(), "nothing": {At: noon}} {
		files := byName(filesOf(t, s))
		for _, name := range []string{"feed.xml", "feed.en.xml"} {
			var read struct {
				XMLName xml.Name `xml:"rss"`
				Version string   `xml:"version,attr"`
				Channel struct {
					Title       string   `xml:"title"`
					Links       []string `xml:"link"`
					Description string   `xml:"description"`
					Items       []struct {
						Title, Link, Description string
						Date                     string `xml:"pubDate"`
						GUID                     string `xml:"guid"`
					} `xml:"item"`
				} `xml:"channel"`
			}
			dec := xml.NewDecoder(strings.NewReader(files[name]))
			if err := dec.Decode(&read); err != nil {
				t.Fatalf("%s/%s: %v", what, name, err)
			}
			if rest, err := dec.Token(); err == nil {
				if space, ok := rest.(xml.CharData); !ok || strings.TrimSpace(string(space)) != "" {
					t.Errorf("%s/%s goes on with %v", what, name, rest)
				}
			}
			c := &read.Channel
			if read.Version != "2.0" || c.Title == "" || c.Description == "" || !strings.HasPrefix(c.Links[0], "https://etat.example/index") {
				t.Errorf("%s/%s: %+v", what, name, c)
			}
			seen, last := map[string]bool{}, time.Time{}
			for i, it := range c.Items {
				at, err := time.Parse(time.RFC1123Z, it.Date)
				if err != nil || seen[it.GUID] || it.GUID == "" || i > 0 && at.After(last) {
					t.Errorf("%s/%s: item %d %+v, %v", what, name, i, it, err)
				}
				seen[it.GUID], last = true, at
			}
			if what == "ongoing" && len(c.Items) != 5 { // a note is the staff's
				t.Errorf("%s: %d items", name, len(c.Items))
			}
			if len(c.Items) > feedItems {
				t.Errorf("%s/%s has %d items", what, name, len(c.Items))
			}
		}
	}
}

// TestTotalsAreTheSameEverywhere: what programs read is what people read.
func TestTotalsAreTheSameEverywhere(t *testing.T) {
	var d document
	if err := json.Unmarshal([]byte(byName(filesOf(t, ongoing()))["status.json"]), &d); err != nil {
		t.Fatal(err)
	}
	n := d.Incidents[0].Affected
	if d.State != "paused" || n.Purchases != 214 || n.Credited+n.Refunded+n.Pending != 214 || n.AmountCredited+n.AmountRefunded+n.AmountPending != n.Amount ||
		d.Incidents[0].ID != "I-12" || d.At != "2024-07-09T14:32:05Z" || len(d.Components) != 4 || len(d.Components[0].Days) != Kept ||
		d.Components[0].Days[89].Paused != 2760 {
		t.Errorf("%+v", d)
	}
	if d.Incidents[1].PausedAt != "" {
		t.Error("what was never paused has a time of it")
	}
}

func TestOldIncidentsGo(t *testing.T) {
	s := over()
	s.At = s.At.Add(79 * 24 * time.Hour) // incident 11 ended 90 days and 23 hours before
	files := byName(filesOf(t, s))
	if files["incident-11.html"] != "" || files["incident-12.html"] == "" {
		t.Errorf("%v", slices.Sorted(maps.Keys(files)))
	}
	s.Incidents[1].Status = incident.Resolved // somebody is not settled yet
	if byName(filesOf(t, s))["incident-11.html"] == "" {
		t.Error("an incident with purchases that are not settled is gone")
	}
}

func TestAvailabilityIsNeverTooGood(t *testing.T) {
	c := Component{Days: []Day{{Measured: 24 * time.Hour, Paused: time.Second}, {}, {Measured: time.Hour}}}
	if got, known := c.available(90); got != 9999 || !known {
		t.Errorf("%d, %v", got, known)
	}
	if got, known := c.available(1); got != 10_000 || !known {
		t.Errorf("the last day: %d, %v", got, known)
	}
	if _, known := (&Component{Days: []Day{{}}}).available(90); known {
		t.Error("nothing was measured, and yet it is known")
	}
}

// TestPhrasesAreUsed: each phrase is said somewhere, and each that is said exists (Say panics otherwise).
func TestPhrasesAreUsed(t *testing.T) {
	schema, err := phrase.SchemaOf(standard, mustSub(t, "phrases"))
	if err != nil {
		t.Fatal(err)
	}
	var code bytes.Buffer
	for _, dir := range []string{"pages"} {
		names, err := embedded.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			data, err := embedded.ReadFile(dir + "/" + n.Name())
			if err != nil {
				t.Fatal(err)
			}
			code.Write(data)
		}
	}
	code.WriteString(goCode(t))
	for key := range schema.Phrases {
		if strings.HasPrefix(key, "event_") || strings.HasPrefix(key, "all_") {
			continue // made of an event's or a state's word, and said in the other tests
		}
		if !strings.Contains(code.String(), `"`+key+`"`) {
			t.Errorf("nothing says %q", key)
		}
	}
	for _, lang := range []string{"fr", "en"} {
		texts, err := texts()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []incident.Event{incident.EventOpened, incident.EventPaused, incident.EventStep, incident.EventTold, incident.EventText,
			incident.EventExpected,
			incident.EventRecovered, incident.EventResolved, incident.EventClosed, incident.EventAgain} {
			if !public(e) || !texts.In(lang).Has("event_"+string(e)) {
				t.Errorf("%s: %s is not told", lang, e)
			}
		}
	}
	for _, e := range []incident.Event{incident.EventProbe, incident.EventOwner, incident.EventSeverity, incident.EventParty, incident.EventNote, "other"} {
		if public(e) {
			t.Errorf("%s is told to everybody", e)
		}
	}
}

func TestSiteRefusesAddresses(t *testing.T) {
	for _, bad := range []string{"", "etat.example/", "https://etat.example", "ftp://etat.example/", "https:///", "https://e.example/?a=/",
		"https://e.example/;script-src/", "https://e.example/'/"} {
		if _, err := NewSite(Config{Brand: "T", Public: bad, Location: time.UTC}); err == nil {
			t.Errorf("%q is taken for the address of the files", bad)
		}
		if _, err := NewSite(Config{Brand: "T", Public: "https://e.example/", Platform: bad, Location: time.UTC}); err == nil && bad != "" {
			t.Errorf("%q is taken for the platform's address", bad)
		}
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{"a\n b": "a b", "abcdef": "abcd…", "\xff": "\ufffd", "ééééé": "ééééé", "abc def": "abc…"} {
		if got := short(text, 5); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
	if got := said(map[purchase.Language]string{"ff": "x", "dy": "y"}, "en"); got != "y" {
		t.Errorf("%q", got)
	}
}

var goFile = regexp.MustCompile(`^[a-z]+\.go$`)

func mustSub(t *testing.T, dir string) fs.FS {
	t.Helper()
	sub, err := fs.Sub(embedded, dir)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// goCode is the package's own code.
func goCode(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	names, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if goFile.MatchString(n.Name()) {
			data, err := os.ReadFile(n.Name())
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
	}
	return all.String()
}
