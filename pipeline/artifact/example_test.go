package artifact_test

import (
	"context"
	"fmt"
	"log"

	"github.com/glmflow/glmflow/pipeline/artifact"
)

func Example() {
	ctx := context.Background()
	store, err := artifact.Open(ctx, "mem://") // or a directory, or a bucket's URL
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	name, err := store.PutBytes(ctx, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}
	text, err := store.Bytes(ctx, name, 1<<10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%s\n", name, text)
	// Output:
	// sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
	// hello
}
