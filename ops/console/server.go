package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/glmflow/glmflow/ops/lang"
)

//go:embed templates static
var assets embed.FS

// Config is what a console is made of. All of it is needed.
type Config struct {
	Source  Source
	Version string // of the program, shown in the footer
	Log     *slog.Logger
	Now     func() time.Time // its time zone is the one that pages show
}

type server struct {
	Config
	pages    *template.Template
	printers map[string]lang.Printer // by language
}

// New returns the console's pages as one handler. Streams to open pages end when
// their requests' contexts do: cancel the http.Server's base context before
// Shutdown, which waits for them.
func New(c Config) (http.Handler, error) {
	if c.Source == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("console: Config needs a Source, a Log and a Now")
	}
	s := &server{Config: c, printers: map[string]lang.Printer{}}
	for _, l := range lang.Languages() {
		p, err := lang.New(l)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		s.printers[l] = p
	}
	var err error
	if s.pages, err = parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	static, err := fs.Sub(assets, "static")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	for _, p := range []page{
		{"GET /{$}", "home", s.home},
		{"GET /runs/{id}", "run", s.run},
		{"GET /models", "models", s.models},
		{"GET /models/{name}", "model", s.model},
		{"GET /", "", s.nowhere},
	} {
		mux.HandleFunc(p.pattern, s.serve(p))
	}
	return secure(mux), nil
}

// parse reads the templates.
func parse() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"path":       url.PathEscape,
		"short":      short,
		"difference": difference,
		"verdict":    verdict,
	}).ParseFS(assets, "templates/*.html")
}

// secure lets a browser load nothing that is not ours.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// A page is a template and the data it shows. Its live part is the template
// that is called the same with "-live" behind.
type page struct {
	pattern  string
	template string
	data     func(*http.Request) (any, error)
}

// serve renders a page whole, or with Accept: text/event-stream only its live
// part, again after every change.
func (s *server) serve(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// The same address answers in two forms and two languages.
		w.Header().Set("Cache-Control", "no-store")
		v := s.view(r, language(w, r))
		if streams(r) {
			s.stream(w, r, p, v)
			return
		}
		status := http.StatusOK
		body, err := s.render(p, r, v, p.template)
		if err != nil {
			status, body, err = s.problem(v, err)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(body) // the reader may have left
	}
}

// render looks at the source again and executes one of the page's templates.
func (s *server) render(p page, r *http.Request, v view, name string) ([]byte, error) {
	var err error
	if v.Data, err = p.data(r); err != nil {
		return nil, err
	}
	v.Now = s.Now()
	return s.execute(name, v)
}

func (s *server) execute(name string, v view) ([]byte, error) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// problem is the page that stands in for one that cannot be shown.
func (s *server) problem(v view, err error) (status int, body []byte, _ error) {
	var missing notFound
	if errors.As(err, &missing) {
		v.Data = missing
		body, err = s.execute("missing", v)
		return http.StatusNotFound, body, err
	}
	s.Log.Error("console page", "path", v.Path, "error", err)
	v.Data = err.Error()
	body, err = s.execute("failure", v)
	return http.StatusInternalServerError, body, err
}

// notFound says what there is not.
type notFound struct {
	What string // a phrase: "There is no such run."
	Name string
}

func (n notFound) Error() string { return n.What + " " + n.Name }
