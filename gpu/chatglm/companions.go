package chatglm

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// companions are the files of a checkpoint that other tools need beside the
// weights. special_tokens_map.json is not among them: with it, older versions
// of the original loading code fail.
func companions() []string {
	return []string{
		"tokenizer.model", "tokenizer_config.json", "tokenization_chatglm.py",
		"configuration_chatglm.py", "modeling_chatglm.py", "quantization.py",
	}
}

// CopyCompanions copies the vocabulary and the loading code that the checkpoint
// in from has to the checkpoint in to, byte for byte. [Model.Save] writes the
// rest.
func CopyCompanions(to, from string) error {
	for _, name := range companions() {
		err := copyFile(filepath.Join(to, name), filepath.Join(from, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return atomicfile.Write(to, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}
