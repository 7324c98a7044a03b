// Coinslot as a monitoring mixin (https://monitoring.mixins.dev): what `pulumi up` ships as
// ConfigMaps and a PrometheusRule, for those who bring their own jsonnet.
//
//     local coinslot = import 'coinslot/mixin.libsonnet';
//     kubePrometheus { grafana+: { dashboards+: coinslot.grafanaDashboards } }
//
// It has no settings: a mixin with selectors of its own would be a second generator.
// Jsonnet can't list a folder, so a new file is named here; a test compares both ways of shipping.
local ruleFiles = [
  importstr 'alerts/generated/rules/objectives.yaml',
  importstr 'alerts/generated/rules/objectives-month.yaml',
  importstr 'alerts/generated/rules/payments.yaml',
  importstr 'alerts/generated/rules/traffic.yaml',
  importstr 'alerts/generated/rules/budgets.yaml',
  importstr 'alerts/generated/rules/api.yaml',
  importstr 'alerts/generated/rules/dependencies.yaml',
  importstr 'alerts/generated/rules/delivery.yaml',
  importstr 'alerts/generated/rules/merchants.yaml',
  importstr 'alerts/generated/rules/money.yaml',
  importstr 'alerts/generated/rules/disputes.yaml',
  importstr 'alerts/generated/rules/resources.yaml',
  importstr 'alerts/generated/rules/availability.yaml',
];

local groups = std.flatMap(function(text) std.parseYaml(text).groups, ruleFiles);

// Mixins keep alerts and recordings apart; a group that has both is in both, with its own kind.
local having(kind) = std.filter(
  function(group) std.length(group.rules) > 0,
  [
    group { rules: std.filter(function(rule) std.objectHas(rule, kind), group.rules) }
    for group in groups
  ],
);

{
  grafanaDashboards+:: {
    'coinslot-active.json': import 'dashboards/generated/coinslot-active.json',
    'coinslot-amounts.json': import 'dashboards/generated/coinslot-amounts.json',
    'coinslot-errors.json': import 'dashboards/generated/coinslot-errors.json',
    'coinslot-integrations.json': import 'dashboards/generated/coinslot-integrations.json',
    'coinslot-money.json': import 'dashboards/generated/coinslot-money.json',
    'coinslot-objectives.json': import 'dashboards/generated/coinslot-objectives.json',
    'coinslot-overview.json': import 'dashboards/generated/coinslot-overview.json',
    'coinslot-providers.json': import 'dashboards/generated/coinslot-providers.json',
    'coinslot-resources.json': import 'dashboards/generated/coinslot-resources.json',
    'coinslot-rollout.json': import 'dashboards/generated/coinslot-rollout.json',
  },
  prometheusAlerts+:: { groups+: having('alert') },
  prometheusRules+:: { groups+: having('record') },
}
