// Package telemetry tells the outside how a process fares: its log, its
// metrics, and whether it lives and is ready.
//
// [NewLogger] makes the process's logger from two configuration values.
// [NewMetrics] makes Prometheus metrics in a registry of their own; an
// [Metrics.Observer] feeds them with what the runner does, and queues are looked
// up when somebody scrapes. [Handler] serves /metrics, /healthz and /readyz.
//
// All metrics are called glmflow_… and labelled by stage, kind and result, never
// by run: labels must stay few. What happened in one run is in the ledger.
package telemetry
