package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"slices"

	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// voiceCmd groups what is done with the recordings of line 121.
type voiceCmd struct {
	Words   voiceWordsCmd   `cmd:"" help:"Print what is to be recorded, for a studio: the file of each recording, and its words."`
	Missing voiceMissingCmd `cmd:"" help:"List the recordings that a machine still speaks; exit 1 when there are any."`
	Replace voiceReplaceCmd `cmd:"" help:"Check recorded voices, and put them in the place of a machine's."`
}

// spoken is which languages a command is about.
type spoken struct {
	Language string `help:"Only of this language: fr, en."`
}

// languages are those asked for.
func (s *spoken) languages(voices *speech.Voices) ([]string, error) {
	all := voices.Languages()
	switch {
	case s.Language == "":
		return all, nil
	case !slices.Contains(all, s.Language):
		return nil, usage(fmt.Errorf("the line speaks %q, not %q", all, s.Language))
	}
	return []string{s.Language}, nil
}

// voiceWordsCmd prints what is to be recorded.
type voiceWordsCmd struct{ spoken }

// Run prints a line for each recording, as CSV.
func (c *voiceWordsCmd) Run(_ context.Context, a *app) error {
	voices, err := speech.Load()
	if err != nil {
		return err
	}
	languages, err := c.languages(voices)
	if err != nil {
		return err
	}
	lines := [][]string{{"file", "words"}}
	for _, language := range languages {
		words := voices.Words(language)
		for _, clip := range slices.Sorted(maps.Keys(words)) {
			lines = append(lines, []string{language + "/" + string(clip) + ".wav", words[clip]})
		}
	}
	return csv.NewWriter(a.out).WriteAll(lines)
}

// voiceMissingCmd lists what a machine still speaks.
type voiceMissingCmd struct {
	spoken
	Dir  string `arg:"" type:"existingdir" help:"The folder of the operator's own recordings (voice.recordings)."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// missingVoice is one recording to be made.
type missingVoice struct {
	File  string `json:"file"`
	Words string `json:"words"`
}

// Run lists them.
func (c *voiceMissingCmd) Run(_ context.Context, a *app) error {
	voices, err := speech.Load()
	if err != nil {
		return err
	}
	languages, err := c.languages(voices)
	if err != nil {
		return err
	}
	if _, err := sound.Load(os.DirFS(c.Dir)); err != nil {
		return err
	}
	missing := []missingVoice{}
	for _, language := range languages {
		words := voices.Words(language)
		for _, clip := range sound.Missing(os.DirFS(c.Dir), voices, language) {
			missing = append(missing, missingVoice{language + "/" + string(clip) + ".wav", words[clip]})
		}
	}
	if c.JSON {
		if err := a.json(missing); err != nil {
			return err
		}
	} else {
		for _, m := range missing {
			a.printf("%-28s %s\n", m.File, m.Words)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("a machine speaks %d recordings", len(missing))
	}
	return nil
}

// voiceReplaceCmd puts recorded voices in their place.
type voiceReplaceCmd struct {
	From string `arg:"" type:"existingdir" help:"The folder with what was recorded: fr/paid/1.wav and so on; one channel of 8 000 samples a second."`
	Dir  string `arg:"" type:"path" help:"The folder that the line plays from (voice.recordings); made when absent."`
}

// Run checks and copies them.
func (c *voiceReplaceCmd) Run(_ context.Context, a *app) error {
	copied, err := sound.Replace(os.DirFS(c.From), c.Dir)
	if err != nil {
		return err
	}
	for _, language := range slices.Sorted(maps.Keys(copied)) {
		a.printf("%s: %d recordings replaced; a line that runs plays them once it is started again\n", language, copied[language])
	}
	if len(copied) == 0 {
		return fmt.Errorf("%s: no recording in it", c.From)
	}
	return nil
}
