package artifact

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// Save stores what write writes as the named object, in place of what was there:
// a reader sees the old bytes or the new ones, never a mixture. The name is a
// slash-separated path, clean and relative.
func (s *Store) Save(ctx context.Context, name string, write func(io.Writer) error) error {
	key, err := objectKey(name)
	if err != nil {
		return err
	}
	if err := s.save(ctx, key, write); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

func (s *Store) save(ctx context.Context, key string, write func(io.Writer) error) error {
	f, err := s.stage()
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no effect once the file was renamed
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	return s.adopt(ctx, f, key)
}

// Load opens a named object: as an *os.File if the store is a local directory. The
// error satisfies fs.ErrNotExist if there is none.
func (s *Store) Load(ctx context.Context, name string) (io.ReadCloser, error) {
	key, err := objectKey(name)
	if err != nil {
		return nil, err
	}
	r, err := s.load(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	return r, nil
}

func (s *Store) load(ctx context.Context, key string) (io.ReadCloser, error) {
	if s.dir == "" {
		return s.read(ctx, key)
	}
	if err := s.before(OpRead, key); err != nil {
		return nil, err
	}
	return os.Open(s.path(key))
}

// Drop deletes every named object under the path name.
func (s *Store) Drop(ctx context.Context, name string) error {
	key, err := objectKey(name)
	if err != nil {
		return err
	}
	if err := s.before(OpDrop, key); err != nil {
		return err
	}
	if err := s.drop(ctx, key); err != nil {
		return fmt.Errorf("drop %s: %w", name, err)
	}
	return nil
}

func (s *Store) drop(ctx context.Context, key string) error {
	if s.dir != "" {
		return os.RemoveAll(s.path(key))
	}
	list := s.bucket.List(&blob.ListOptions{Prefix: key + "/"})
	for {
		object, err := list.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.bucket.Delete(ctx, object.Key)
		}
		if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return err
		}
	}
}

func objectKey(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("%q is no object name: want a clean relative path", name)
	}
	return "state/" + name, nil
}
