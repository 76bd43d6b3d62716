package pipeline_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// shout is a whole stage: it passes dialogues on in capitals.
type shout struct{}

func (shout) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name:  "shout",
		About: "capitals for everyone",
		In:    []schemas.Kind{schemas.DialogueRaw},
		Out:   []schemas.Kind{schemas.DialogueClean},
	}
}

func (shout) Run(ctx context.Context, job *pipeline.Job) error {
	for d, err := range pipeline.Rows[schemas.Dialogue](job) {
		if err != nil {
			return err
		}
		for i := range d.Turns {
			d.Turns[i].Content = strings.ToUpper(d.Turns[i].Content)
		}
		if err := pipeline.Emit(job, schemas.DialogueClean, d); err != nil {
			return err
		}
	}
	return nil
}

// loudspeaker makes something for shout to do.
type loudspeaker struct{}

func (loudspeaker) Spec() pipeline.Spec {
	return pipeline.Spec{Name: "loudspeaker", In: []schemas.Kind{schemas.IngestRequest}, Out: []schemas.Kind{schemas.DialogueRaw}}
}

func (loudspeaker) Run(ctx context.Context, job *pipeline.Job) error {
	return pipeline.Emit(job, schemas.DialogueRaw, schemas.Dialogue{ID: "1", Turns: []schemas.Turn{{Role: schemas.RoleUser, Content: "hello"}}})
}

// A stage can be run by hand, one job at a time, without a broker.
func ExampleDo() {
	ctx := context.Background()
	store, err := artifact.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	order, err := schemas.NewEvent(schemas.IngestRequest, "order-1", "/glmflow/example", time.Unix(0, 0), schemas.IngestOrder{})
	if err != nil {
		log.Fatal(err)
	}
	first, err := pipeline.Do(ctx, loudspeaker{}, order, pipeline.Options{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	second, err := pipeline.Do(ctx, shout{}, first.Data[0], pipeline.Options{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	var made schemas.Dataset
	if err := second.Data[0].Decode(&made); err != nil {
		log.Fatal(err)
	}
	for d, err := range pipeline.RowsOf[schemas.Dialogue](ctx, store, made) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Turns[0].Content)
	}
	// Output: HELLO
}

func ExampleFlow_Graph() {
	flow, err := pipeline.NewFlow(loudspeaker{}, shout{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(flow.Graph())
	// Output:
	// . -> loudspeaker: ingest.request
	// loudspeaker -> shout: dialogue.raw
	// shout -> .: dialogue.clean
}
