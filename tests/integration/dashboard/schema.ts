// What a dashboard of Prometheus' metrics may hold, by the types of Grafana's own package.
import type { AnnotationQuery, Dashboard, DataSourceRef, FieldConfigSource, Panel, RowPanel, VariableModel } from "@grafana/schema";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { FieldConfig as TimeSeriesFieldConfig, Options as TimeSeriesOptions }
    from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// A type as JSON shows it: an enum is one of its values.
type Json<T> = T extends string ? (string extends T ? string : `${T}`)
    : T extends number ? (`${T}` extends `${infer N extends number}` ? N : never)
    : T extends boolean | null | undefined ? T
    : T extends (infer Item)[] ? Json<Item>[]
    : T extends object ? { [Key in keyof T]: Json<T[Key]> }
    : T;
// Grafana has defaults for what is absent.
type Options<T> = T extends unknown[] ? T : T extends object ? { [Key in keyof T]?: Options<T[Key]> } : T;

type Target = { refId: string; datasource: DataSourceRef; expr: string; legendFormat?: string; instant?: boolean; range?: boolean;
    format?: "time_series" | "table" | "heatmap"; hide?: boolean; interval?: string; exemplar?: boolean };
type Defaults<Custom> = Omit<FieldConfigSource["defaults"], "custom"> & { custom?: Options<Custom> };
type Shown<Type extends string, Settings, Custom> = Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> & {
    type: Type; title: string; options: Options<Settings>; targets: Target[];
    fieldConfig: Omit<FieldConfigSource, "defaults"> & { defaults: Defaults<Custom> };
};
type Panels = Shown<"timeseries", TimeSeriesOptions, TimeSeriesFieldConfig> | Shown<"stat", StatOptions, never>
    | (Omit<RowPanel, "panels"> & { type: "row"; panels: [] });
// Grafana's editor writes "definition", which the package leaves out.
type Variable = VariableModel & { definition?: string };
// Members of the data source's own.
type Annotation = AnnotationQuery & { expr: string; titleFormat?: string };

export type OurDashboard = Json<Omit<Dashboard, "panels" | "templating" | "annotations"> & {
    panels: Panels[]; templating: { list: Variable[] }; annotations: { list: Annotation[] };
}>;
