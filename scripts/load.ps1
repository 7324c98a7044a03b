#!/usr/bin/env pwsh
<#
.SYNOPSIS
Runs a load test and judges it by its targets and the money invariants. The twin of load.sh.

.DESCRIPTION
Exit codes: 0 passed, 1 failed, 2 the run could not be made, 130 interrupted.

.PARAMETER LoadProfile
smoke, short, full or double.

.PARAMETER Url
A running service; without it a platform of its own is started (not on Windows).

.PARAMETER OpsUrl
With -Url: the service's operations port, for CPU and memory.

.PARAMETER Workers
Processes that apply the load (on Windows 1).

.PARAMETER Out
Folder of the report; build/load/<profile> if not given.

.PARAMETER Archive
Folder of finished runs; loadtest/results if not given.

.PARAMETER Json
Print the report as JSON.

.EXAMPLE
scripts/load.ps1 -LoadProfile smoke

.EXAMPLE
scripts/load.ps1 -LoadProfile full -Url http://127.0.0.1:8080 -Out build/mine -Json
#>
param(
    [string]$LoadProfile = 'smoke',  # $Profile is PowerShell's own
    [string]$Url = '',
    [string]$OpsUrl = '',
    [int]$Workers = 1,
    [string]$Out = '',
    [string]$Archive = '',
    [switch]$Json
)
$ErrorActionPreference = 'Stop'
Set-Location (Join-Path $PSScriptRoot '..')

# tools/bootstrap is for a POSIX shell. Windows PowerShell 5 is on Windows only and has no $IsWindows.
if ($env:OS -eq 'Windows_NT') {
    $python = '.venv/Scripts/python.exe'
    if (-not (Test-Path $python)) {
        [Console]::Error.WriteLine('load: there is no .venv; make it with: py -m venv .venv')
        [Console]::Error.WriteLine('  .venv/Scripts/python -m pip install "pip>=25.1"')
        [Console]::Error.WriteLine('  .venv/Scripts/python -m pip install -e . --group load')
        exit 2
    }
} else {
    $python = '.venv/bin/python'
    & tools/bootstrap venv | ForEach-Object { [Console]::Error.WriteLine($_) }
    if ($LASTEXITCODE -ne 0) { exit 2 }
}

$arguments = @('-m', 'loadtest', '--profile', $LoadProfile, '--workers', $Workers)
if ($Url) { $arguments += @('--url', $Url) }
if ($OpsUrl) { $arguments += @('--ops-url', $OpsUrl) }
if ($Out) { $arguments += @('--out', $Out) }
if ($Archive) { $arguments += @('--archive', $Archive) }
if ($Json) { $arguments += '--json' }
& $python @arguments
exit $LASTEXITCODE
