package drill

// Says reports whether there is a phrase.
func Says(language, key string) bool {
	say, err := Tongue(language)
	return err == nil && say.Has(key)
}
