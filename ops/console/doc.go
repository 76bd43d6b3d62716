// Package console is the web page that operators look at: the flow with what
// waits and works in every stage, the runs, one run with its live loss curve
// and its evaluation, and the models with their aliases and history.
//
// Pages are rendered on the server with html/template and work without
// JavaScript. With it, each page's live part is pushed again over server-sent
// events whenever something changed (live.go), so a page that is opened late
// shows the whole run and then follows it. Pictures are SVG drawn here
// (flow.go, curve.go). Nothing is loaded from elsewhere, and the content
// security policy forbids it.
//
// The console speaks English and Chinese, see package lang. It only reads,
// through [Source], and asks nobody who they are: it belongs on a loopback
// address.
package console
