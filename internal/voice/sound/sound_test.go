package sound

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zaf/g711"

	"tenu/internal/voice/speech"
)

var update = flag.Bool("update", false, "speak the recordings again whose words have changed (espeak-ng and sox are needed)")

// words is the file of an archive that says what each of its recordings says.
const words = "words.txt"

// TestShipped keeps the archives of recordings: each clip that may be said is there, in
// the words of today, and none in vain. With -update a machine speaks them.
func TestShipped(t *testing.T) {
	voices, err := speech.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range voices.Languages() {
		want := manifest(voices, language)
		path := filepath.Join("prompts", language+".zip")
		got, there := unpacked(t, path)
		if *update && string(got[words]) != want {
			speak(t, voices, language, path)
			got, there = unpacked(t, path)
		}
		if !there || string(got[words]) != want {
			t.Fatalf("the words of %s have changed: make generate", path)
		}
		if len(got) != len(voices.Words(language))+1 {
			t.Errorf("%s has %d files for %d clips", path, len(got), len(voices.Words(language)))
		}
	}
	l, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range voices.Languages() {
		for clip := range voices.Words(language) {
			for _, law := range []Law{ALaw, MuLaw} {
				if loud := energy(law, l.Clip(law, language, clip)); loud < 100 {
					t.Errorf("%s in law %d is not heard: %.0f", clip, law, loud)
				}
			}
		}
	}
}

func manifest(voices *speech.Voices, language string) string {
	var lines []string
	for clip, text := range voices.Words(language) {
		lines = append(lines, string(clip)+"\t"+text+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func unpacked(t *testing.T, path string) (files map[string][]byte, there bool) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, false
	}
	defer func() { _ = archive.Close() }()
	files = map[string][]byte{}
	for _, entry := range archive.File {
		file, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := data.ReadFrom(file); err != nil {
			t.Fatal(err)
		}
		files[entry.Name] = data.Bytes()
	}
	return files, true
}

// speak lets a machine say every clip of a language.
func speak(t *testing.T, voices *speech.Voices, language, path string) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	add := func(name string, data []byte) {
		file, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	list := manifest(voices, language)
	add(words, []byte(list))
	voice := map[string]string{"fr": "fr", "en": "en-gb"}[language]
	for line := range strings.Lines(list) {
		clip, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		script := `espeak-ng -v "$0" -s 150 --stdout -- "$1" | sox -t wav - -t al -r 8000 -c 1 - silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse pad 0 0.08 gain -n -3`
		said, err := exec.CommandContext(t.Context(), "sh", "-c", script, voice, text).Output()
		if err != nil || len(said) == 0 {
			t.Fatalf("%s: %d bytes, %v", clip, len(said), err)
		}
		add(clip+".al", said)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// energy is the mean size of the samples.
func energy(law Law, samples []byte) float64 {
	decode := g711.DecodeAlawFrame
	if law == MuLaw {
		decode = g711.DecodeUlawFrame
	}
	sum := 0.0
	for _, s := range samples {
		sum += math.Abs(float64(decode(s)))
	}
	return sum / float64(max(1, len(samples)))
}

// wav is a WAV file.
func wav(format, channels, rate, bits int, samples []byte) []byte {
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x10\x00\x00\x00")
	for _, field := range []any{uint16(format), uint16(channels), uint32(rate), uint32(rate * channels * bits / 8), uint16(channels * bits / 8), uint16(bits)} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString("data")
	_ = binary.Write(&b, binary.LittleEndian, uint32(len(samples)))
	b.Write(samples)
	return b.Bytes()
}

func TestOwnVoices(t *testing.T) {
	pcm := make([]byte, 1600)
	for i := range 800 {
		binary.LittleEndian.PutUint16(pcm[2*i:], uint16(int16(8000*math.Sin(float64(i)/5))))
	}
	alaw := g711.EncodeAlaw(pcm)
	for name, file := range map[string][]byte{"pcm": wav(1, 1, 8000, 16, pcm), "alaw": wav(6, 1, 8000, 8, alaw), "mulaw": wav(7, 1, 8000, 8, g711.EncodeUlaw(pcm))} {
		l, err := Load(fstest.MapFS{"fr/number/17.wav": {Data: file}, "readme.txt": {}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := l.Clip(ALaw, "fr", "number/17")
		if len(got) != 800 || math.Abs(energy(ALaw, got)-energy(ALaw, alaw)) > 200 || l.Own("fr") != 1 || l.Own("en") != 0 {
			t.Errorf("%s: %d bytes of %.0f, want %.0f", name, len(got), energy(ALaw, got), energy(ALaw, alaw))
		}
	}
	voices, err := speech.Load()
	if err != nil {
		t.Fatal(err)
	}
	missing := Missing(fstest.MapFS{"fr/number/17.wav": {}}, voices, "fr")
	if len(missing) != len(voices.Words("fr"))-1 || slices.Contains(missing, "number/17") {
		t.Errorf("%d missing", len(missing))
	}
}

func TestBadRecordings(t *testing.T) {
	sample := []byte{1, 2, 3, 4}
	cut := wav(1, 1, 8000, 16, sample)
	for want, file := range map[string][]byte{
		"not a WAV file":      []byte("ID3"),
		"2 channels":          wav(1, 2, 8000, 16, sample),
		"44100 samples":       wav(1, 1, 44100, 16, sample),
		"format 1 of 24 bits": wav(1, 1, 8000, 24, sample),
		"format 85":           wav(85, 1, 8000, 16, sample),
		"cut off":             cut[:len(cut)-2],
		"no samples in it":    cut[:48],
		"0 samples":           wav(6, 1, 8000, 8, nil),
	} {
		_, err := Load(fstest.MapFS{"fr/number/17.wav": {Data: file}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fr/number/17.wav") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Load(fstest.MapFS{"fr/number/17a.wav": {Data: cut}}); err == nil || !strings.Contains(err.Error(), "no recording of this name") {
		t.Errorf("%v", err)
	}
}

func FuzzWAV(f *testing.F) {
	f.Add(wav(1, 1, 8000, 16, []byte{1, 2}))
	f.Add(wav(6, 1, 8000, 8, []byte{1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if samples, err := readWAV(bytes.NewReader(data)); err == nil && (len(samples) == 0 || len(samples) > maxClip) {
			t.Errorf("%d samples", len(samples))
		}
	})
}
