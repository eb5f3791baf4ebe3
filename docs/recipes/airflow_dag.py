"""An Airflow DAG that waits for tonight's export and then loads it.

The sensor asks `_latest.json`, so it lists nothing and knows no job key. A failed export moves nothing there: the sensor
then ends by its timeout. It needs the packages `apache-airflow` (3 or newer) and `apache-airflow-providers-amazon`, and
`load_latest.py` beside it.
"""

from datetime import datetime, timedelta

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import PokeReturnValue, dag, task

from load_latest import age, objects, read

DESTINATION = "s3://landfall-exports/segment-snapshot/"


@dag(schedule="0 3 * * *", start_date=datetime(2026, 11, 1), catchup=False)
def load_segment():
    # The deadline of the job, and some time for its verification.
    @task.sensor(poke_interval=60, timeout=timedelta(hours=7).total_seconds(), mode="reschedule")
    def sealed(data_interval_end=None):
        latest, _ = read(S3Hook().get_conn(), DESTINATION + "_latest.json")
        is_done = latest is not None and age(latest)[0] >= data_interval_end
        return PokeReturnValue(is_done=is_done, xcom_value=latest["receipt"] if is_done else None)

    @task
    def load(uri):
        s3 = S3Hook().get_conn()
        receipt, _ = read(s3, uri)
        if receipt is None:
            raise LookupError(f"{uri} was deleted since it was seen")
        for item in objects(s3, receipt):
            print(item["key"], item["size"])

    load(sealed())


load_segment()
