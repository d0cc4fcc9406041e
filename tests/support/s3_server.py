"""A real S3 server (moto) on a free loopback port, for tests.

    s3_server.py WHEELS FOLDER

Prints its port. Every line on standard input makes the bucket "live" hold exactly the files of FOLDER, answered by the line
"synced". Ends when standard input does.
"""

import logging
import pathlib
import sys

sys.path.insert(0, sys.argv[1])

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402


def sync(client, folder):
    wanted = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    there = {item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket="live").get("Contents", [])}
    for key in there.keys() - wanted.keys():
        client.delete_object(Bucket="live", Key=key)
    for key, path in sorted(wanted.items()):
        if there.get(key) != path.stat().st_size:
            client.put_object(Bucket="live", Key=key, Body=path.read_bytes())


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    folder = pathlib.Path(sys.argv[2])
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test")
    client.create_bucket(Bucket="live")
    print(port, flush=True)
    for _ in sys.stdin:
        sync(client, folder)
        print("synced", flush=True)
    server.stop()


main()
