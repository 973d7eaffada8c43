"""The Dagster UI as `make dev` opens it: the asset graph reads from left to right, in the order data flows."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ATTAIN = str(Path(sys.executable).with_name("attain"))
FLOW = (
    ["salesforce", "hubspot", "dynamics", "zoho"],
    ["intermediate"],
    ["core"],
    ["kpi", "forecast", "payout"],
    ["published"],
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def page(chromium: str, tmp_path: Path) -> Iterator[str]:
    """The address of a running UI."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [ATTAIN, "dev", "--port", url.rpartition(":")[2]]
    environment = {**os.environ, "ATTAIN_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ui:
        try:
            wait_for(url + "/server_info")
            yield url
        finally:
            ui.send_signal(signal.SIGTERM)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            requests.get(url, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.5)
    raise TimeoutError(url)


def test_the_asset_graph_reads_from_left_to_right_in_the_order_data_flows(page: str, browser: webdriver.Chrome) -> None:
    browser.get(page + "/asset-groups")
    graph = WebDriverWait(browser, 60).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "svg foreignObject"))
    assert graph

    def position(group: str) -> float:
        node = browser.find_element(By.XPATH, f"//*[local-name()='foreignObject'][.//*[text()='{group}']]")
        return float(node.rect["x"])

    columns = [[position(group) for group in groups] for groups in FLOW]
    for left, right in zip(columns, columns[1:], strict=False):
        assert max(left) < min(right)
